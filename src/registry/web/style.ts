/** The page's stylesheet and icon. Nothing else is loaded, and nothing from elsewhere. */
import { digestHex, digestOf } from "../../core/digest.ts";

export const STYLE_TEXT = `
:root {
  color-scheme: light dark;
  --ground: #f7f8f9; --paper: #ffffff; --ink: #16202a; --quiet: #5b6875; --line: #dde3e8; --edge: #84919d;
  --accent: #0b6482; --accent-ink: #ffffff; --tint: #e6f1f5;
  --good: #1d7a46; --good-tint: #e3f4ea; --bad: #a8302c; --bad-tint: #fbe9e8; --warm: #8a5a00; --warm-tint: #fbf1dc;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", "Source Code Pro", "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f151b; --paper: #161e26; --ink: #e4eaef; --quiet: #93a1ae; --line: #2a3540; --edge: #6b7a88;
    --accent: #63c3e3; --accent-ink: #06222d; --tint: #14303b;
    --good: #6fcf97; --good-tint: #14301f; --bad: #f08d86; --bad-tint: #3a1a19; --warm: #e5b567; --warm-tint: #33270f;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
body { margin: 0; background: var(--ground); color: var(--ink); -webkit-text-size-adjust: 100%; }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: 1px; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
code { font-family: var(--mono); font-size: .88em; }
small, .quiet { color: var(--quiet); }
.skip { position: absolute; left: -100vw; padding: .5rem 1rem; background: var(--paper); }
.skip:focus { left: 1rem; top: 1rem; z-index: 1; }

.bar { display: flex; justify-content: space-between; align-items: center; gap: 1rem; background: var(--paper);
  border-bottom: 1px solid var(--line); padding: .7rem max(1.25rem, calc(50% - 34rem)); }
.brand { display: flex; align-items: center; gap: .6rem; font-weight: 650; color: var(--ink); text-decoration: none; overflow-wrap: anywhere; }
.brand svg { width: 1.5rem; height: 1.5rem; flex: none; fill: var(--accent); }
.account { display: flex; align-items: center; gap: .9rem; margin: 0; white-space: nowrap; }
.account span { color: var(--quiet); }

main { max-width: 70.5rem; margin: 0 auto; padding: 2rem 1.25rem 5rem; }
h1 { font-size: 1.75rem; line-height: 1.25; font-weight: 680; letter-spacing: -.015em; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h1 .ref { color: var(--quiet); font-weight: 500; }
h2 { font-size: 1.06rem; font-weight: 650; margin: 0 0 .7rem; }
h2 small { font-weight: 450; font-size: .94em; margin-left: .3em; }
section { margin-top: 2.4rem; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: .5rem 2rem; margin-bottom: 1rem; }
.lead { font-size: 1.12rem; margin: 0 0 1rem; }
.path ol { list-style: none; margin: 0 0 .6rem; padding: 0; display: flex; flex-wrap: wrap; font-size: .92rem; }
.path li::after { content: "/"; color: var(--quiet); margin: 0 .5em; }
.path li:last-child::after { content: ""; }

.command { margin: 0 0 1.4rem; padding: .6rem .9rem; background: var(--tint); border-radius: 6px; overflow-wrap: anywhere; }
.command code::before { content: "$ "; color: var(--quiet); }
.facts { margin: 0; display: grid; gap: .35rem; }
.facts div { display: grid; grid-template-columns: 6.5rem 1fr; gap: 1rem; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }

.scroll { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
th, td { text-align: left; vertical-align: top; padding: .58rem .9rem; border-top: 1px solid var(--line); font-weight: inherit; }
thead th { border-top: 0; color: var(--quiet); font-size: .84rem; font-weight: 600; white-space: nowrap; }
tbody tr:hover { background: var(--tint); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.code { white-space: nowrap; }
td.wide { overflow-wrap: anywhere; }
code.made { white-space: pre-wrap; overflow-wrap: anywhere; display: block; max-height: 9.5em; overflow-y: auto; }
code.made b { color: var(--accent); font-weight: 650; }
.share { display: block; width: 100%; height: 4px; fill: var(--accent); border-radius: 2px; }
.share .whole { fill: var(--line); }
td .share { width: 5rem; margin: .2rem 0 .15rem auto; }

.mark { display: inline-block; min-width: 5.6em; text-align: center; font-size: .78rem; font-weight: 600; border-radius: 99px; padding: .05rem .55rem;
  margin-right: .45rem; background: var(--tint); color: var(--accent); }
.mark.added { background: var(--good-tint); color: var(--good); }
.mark.removed { background: var(--bad-tint); color: var(--bad); }
.mark.changed { background: var(--warm-tint); color: var(--warm); }
.cost { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 1.2rem 1.4rem; margin-top: 1.6rem; }
.cost h2 { margin: 0; color: var(--quiet); font-size: .95rem; }
.cost .figure { font-size: 2.2rem; line-height: 1.2; font-weight: 680; letter-spacing: -.02em; margin: .15rem 0 .6rem; font-variant-numeric: tabular-nums; }
.cost .figure small { font-size: 1.05rem; font-weight: 450; letter-spacing: 0; }
.cost .share { height: 8px; }
.cost p:last-child { margin: .7rem 0 0; }
.empty { margin: 0; padding: 1.4rem; border: 1px dashed var(--line); border-radius: 8px; color: var(--quiet); }
.more { color: var(--quiet); }
details summary { cursor: pointer; margin-bottom: .6rem; color: var(--accent); }

form.line { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; margin: 0; }
form.line label { color: var(--quiet); font-size: .94rem; }
input, select, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--edge); border-radius: 6px; padding: .36rem .65rem; }
select, input[type=search] { max-width: 15rem; margin-left: .35rem; }
button { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); font-weight: 600; cursor: pointer; padding-inline: .95rem; }
button:hover { filter: brightness(1.08); }
button.plain { background: none; border: 0; padding: 0; color: var(--accent); font-weight: inherit; text-decoration: underline; text-underline-offset: .18em; }
.card { max-width: 25rem; margin: 3.5rem auto 0; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1.8rem 2rem; }
.card form { display: grid; gap: .35rem; }
.card form label { font-weight: 600; font-size: .92rem; margin-top: .5rem; }
.card form input { width: 100%; padding: .5rem .7rem; }
.card form button { margin-top: 1.1rem; padding-block: .5rem; }
.problem { margin: 0; padding: .6rem .8rem; border-radius: 6px; background: var(--bad-tint); color: var(--bad); }

@media (max-width: 40rem) {
  main { padding-top: 1.4rem; }
  .facts div { grid-template-columns: 1fr; gap: 0; margin-bottom: .35rem; }
  th, td { padding: .5rem .6rem; }
  td.wide { min-width: 12rem; }
}
@media (prefers-reduced-motion: no-preference) { a, button { transition: filter .12s; } }
`;

/** In the stylesheet's address, so that a browser may keep it for good. */
export const STYLE_VERSION = digestHex(digestOf(STYLE_TEXT)).slice(0, 12);

export const ICON_TEXT = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#0b6482"/><path fill="#fff" d="M4 10h16v2.5H4zM6.5 12.5h2.5V19H6.5zM15 12.5h2.5V19H15zM10.8 4.5h2.4V10h-2.4z"/></svg>`;

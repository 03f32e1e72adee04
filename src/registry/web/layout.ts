/** The frame of every page, and the pieces that several pages are made of. */
import type { Digest } from "../../core/digest.ts";
import { digestHex } from "../../core/digest.ts";
import { formatBytes } from "../../core/units.ts";
import { html, type Html, type HtmlValue } from "./html.ts";
import { compareLink, HOME, ICON, SIGN_IN, SIGN_OUT, STYLE } from "./links.ts";
import { STYLE_VERSION } from "./style.ts";

/** Who looks, and at which registry. */
export interface Viewer {
  /** As the visitor calls this registry: `host[:port]`. */
  readonly registry: string;
  /** undefined for one who has not signed in. */
  readonly user: string | undefined;
  /** False for a registry without users. */
  readonly canSignIn: boolean;
}

export interface Page {
  readonly title: string;
  /** Where the page lies, from the registry on. */
  readonly path?: readonly Crumb[];
  readonly body: Html;
}

export interface Crumb {
  readonly text: string;
  readonly href: string;
}

export function renderPage(viewer: Viewer, page: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title} · ${viewer.registry}</title>
<link rel="stylesheet" href="${STYLE}?v=${STYLE_VERSION}">
<link rel="icon" href="${ICON}" type="image/svg+xml">
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="bar">
<a class="brand" href="${HOME}"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 9h18v3H3zM6 12h3v8H6zM15 12h3v8h-3zM10.5 3h3v6h-3z"/></svg><span>${viewer.registry}</span></a>
${account(viewer)}
</header>
<main id="content">
${page.path && breadcrumbs(page.path)}
${page.body}
</main>
</body>
</html>
`.markup;
}

/** Rows under column names. The first column heads its row. */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly HtmlValue[])[]): Html {
  const classOf = (column: Column | undefined): Html | undefined => column?.kind && html` class="${column.kind}"`;
  const cells = (row: readonly HtmlValue[]): Html[] =>
    row.map((value, i) =>
      i === 0
        ? html`<th scope="row"${classOf(columns[i])}>${value}</th>`
        : html`<td${classOf(columns[i])}>${value}</td>`,
    );
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<thead><tr>${columns.map((column) => html`<th scope="col"${classOf(column)}>${column.name}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${cells(row)}</tr>\n`)}</tbody>
</table></div>`;
}

export interface Column {
  readonly name: string;
  readonly kind?: "number" | "code" | "wide";
}

export function section(title: string, note: HtmlValue, content: Html): Html {
  return html`<section><h2>${title}${note !== undefined && html` <small>${note}</small>`}</h2>
${content}</section>`;
}

export function empty(...text: readonly HtmlValue[]): Html {
  return html`<p class="empty">${text}</p>`;
}

/** The first hexadecimal digits, with the whole digest on hover. */
export function shortDigest(digest: Digest): Html {
  return html`<code title="${digest}">${digestHex(digest).slice(0, 12)}</code>`;
}

/** Three digits and the exact count on hover. */
export function size(bytes: number): Html {
  return html`<span title="${bytes.toLocaleString("en")} bytes">${formatBytes(bytes)}</span>`;
}

/** The day of an RFC 3339 time; the text itself when it is none. */
export function day(time: string | undefined): HtmlValue {
  if (time === undefined) return html`<span class="quiet">–</span>`;
  const parsed = /^(\d{4}-\d\d-\d\d)T/.exec(time)?.[1];
  return parsed === undefined ? time : html`<time datetime="${time}" title="${time}">${parsed}</time>`;
}

/** `share` of `whole` as a bar; the text beside it says the same. */
export function bar(share: number, whole: number): Html {
  const percent = whole === 0 ? 0 : Math.min(100, (100 * share) / whole);
  return html`<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="whole" width="100" height="4"/><rect width="${percent.toFixed(2)}" height="4"/></svg>`;
}

/** A form to choose two tags to compare. `tags` newest first. */
export function compareForm(repository: string, tags: readonly string[], from?: string, to?: string): Html {
  const select = (name: string, label: string, chosen: string | undefined): Html =>
    html`<label>${label} <select name="${name}">${tags.map((tag) => html`<option${tag === chosen && html` selected`}>${tag}</option>`)}</select></label>`;
  return html`<form class="line" action="${compareLink(repository)}">
${select("from", "From", from ?? tags[1] ?? tags[0])} ${select("to", "To", to ?? tags[0])} <button>Compare</button>
</form>`;
}

function account({ user, canSignIn }: Viewer): Html | undefined {
  if (user !== undefined) {
    return html`<form class="account" method="post" action="${SIGN_OUT}"><span>${user}</span><button class="plain">Sign out</button></form>`;
  }
  return canSignIn ? html`<nav class="account"><a href="${SIGN_IN}">Sign in</a></nav>` : undefined;
}

function breadcrumbs(path: readonly Crumb[]): Html {
  return html`<nav class="path" aria-label="Where you are"><ol>${path.map(({ text, href }) => html`<li><a href="${href}">${text}</a></li>`)}</ol></nav>`;
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeHtml, html } from "./html.ts";

const escaped: readonly (readonly [text: string, markup: string])[] = [
  ["plain", "plain"],
  ["<script>", "&#60;script&#62;"],
  [`" onload='x'`, "&#34; onload=&#39;x&#39;"],
  ["&amp;", "&#38;amp;"],
  ["a\0b\u001b[1m", "a\ufffdb\ufffd[1m"],
  ["exe\u202egnp", "exe\ufffdgnp"],
  ["two\nlines\t", "two\nlines\t"],
];

for (const [text, markup] of escaped) {
  test(`escapeHtml() writes ${JSON.stringify(text)} as text`, () => assert.equal(escapeHtml(text), markup));
}

test("html`` escapes every value except markup, and leaves out what is absent", () => {
  const inner = html`<b>${"<i>"}</b>`;
  assert.equal(
    html`<p title="${'"'}">${inner}${["<", inner]}${undefined}${false}${0}</p>`.markup,
    '<p title="&#34;"><b>&#60;i&#62;</b>&#60;<b>&#60;i&#62;</b>0</p>',
  );
});

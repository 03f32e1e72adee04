/**
 * html`…`: markup as a value. Whatever is put into it is escaped unless it is markup already, so that a name or a label that
 * looks like markup stays text. Values stand in text or between double quotes, never in a tag's or an attribute's name.
 *
 * @see WHATWG HTML, "Serialising HTML fragments"
 */

export interface Html {
  readonly markup: string;
}

export type HtmlValue = Html | string | number | false | undefined | readonly HtmlValue[];

export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return { markup: strings.map((text, i) => (i === 0 ? "" : format(values[i - 1])) + text).join("") };
}

/** Control characters and those that turn the direction of writing are shown as U+FFFD: they could make a name look like another. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (c) => (c === "\n" || c === "\t" ? c : "\ufffd"))
    .replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function format(value: HtmlValue): string {
  if (value === undefined || value === false) return "";
  if (typeof value === "string") return escapeHtml(value);
  if (typeof value === "number") return String(value);
  return "markup" in value ? value.markup : value.map(format).join("");
}

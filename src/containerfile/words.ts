/**
 * Words: splitting an instruction's text. Offsets count UTF-16 units of the logical line, for error places.
 */

export interface Word {
  readonly text: string;
  readonly offset: number;
}

const BLANK = /[\t\v\f\r ]/;

export function isBlank(character: string | undefined): boolean {
  return character !== undefined && BLANK.test(character);
}

/** Split at blanks, quotes mean nothing. */
export function splitBlanks(text: string, start = 0): Word[] {
  const words: Word[] = [];
  for (const match of text.slice(start).matchAll(/[^\t\v\f\r ]+/g)) {
    words.push({ text: match[0], offset: start + match.index });
  }
  return words;
}

/**
 * Split at blanks outside of quotes; quotes and escapes stay in the words. An unterminated quote runs to the end of the text
 * (word expansion reports it).
 */
export function splitQuoted(text: string, escape: string, start = 0): Word[] {
  const words: Word[] = [];
  let at = start;
  while (at < text.length) {
    if (isBlank(text[at])) {
      at += 1;
      continue;
    }
    const end = endOfQuotedWord(text, escape, at);
    words.push({ text: text.slice(at, end), offset: at });
    at = end;
  }
  return words;
}

/** The offset just after the word that begins at `at`. */
export function endOfQuotedWord(text: string, escape: string, at: number): number {
  let quote = "";
  let end = at;
  while (end < text.length) {
    const character = text[end] ?? "";
    if (quote === "" && isBlank(character)) break;
    if (character === escape && quote !== "'") {
      end += 2;
      continue;
    }
    if (quote === "" && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = "";
    end += 1;
  }
  return Math.min(end, text.length);
}

/** The rest of the text without blanks around it. */
export function restOf(text: string, start: number): Word {
  let offset = start;
  while (isBlank(text[offset])) offset += 1;
  return { text: text.slice(offset).replace(/[\t\v\f\r ]+$/, ""), offset };
}

export type JsonForm =
  | { readonly kind: "array"; readonly values: readonly string[] }
  | { readonly kind: "not-strings" }
  | { readonly kind: "text" };

/** The exec form: a JSON array of strings. Text that is not JSON at all is `text`; JSON that holds something else, `not-strings`. */
export function parseJsonForm(text: string): JsonForm {
  if (!text.startsWith("[")) return { kind: "text" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "text" };
  }
  if (!Array.isArray(value)) return { kind: "text" };
  const values: string[] = [];
  for (const entry of value) {
    if (typeof entry !== "string") return { kind: "not-strings" };
    values.push(entry);
  }
  return { kind: "array", values };
}

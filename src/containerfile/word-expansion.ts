/**
 * Word expansion: a word's tree and the values of variables → text. It fails for `${v:?message}` only.
 *
 * @see POSIX Shell Command Language 2.6.2; Dockerfile reference, "Environment replacement"
 */
import { parseWord, WordError, type WordPart, type WordSyntax } from "./word-syntax.ts";

export type Lookup = (name: string) => string | undefined;

/** Throws WordError for `${v:?message}` only. */
export function expandParts(parts: readonly WordPart[], lookup: Lookup): string {
  return parts.map((part) => (part.kind === "text" ? part.text : expandVariable(part, lookup))).join("");
}

export function expandWord(text: string, lookup: Lookup, syntax: WordSyntax): string {
  return expandParts(parseWord(text, syntax), lookup);
}

/** As expandWord, and blanks that come from unquoted variables split the word (EXPOSE). */
export function expandToWords(text: string, lookup: Lookup, syntax: WordSyntax): string[] {
  const words: string[] = [];
  let current: string | undefined;
  for (const part of parseWord(text, syntax)) {
    const value = part.kind === "text" ? part.text : expandVariable(part, lookup);
    if (part.kind === "text" || part.quoted) {
      current = (current ?? "") + value;
      continue;
    }
    const pieces = value.split(/[ \t\n]+/);
    pieces.forEach((piece, i) => {
      if (i > 0 && current !== undefined) {
        words.push(current);
        current = undefined;
      }
      if (piece !== "") current = (current ?? "") + piece;
    });
  }
  if (current !== undefined) words.push(current);
  return words;
}

function expandVariable(part: Extract<WordPart, { kind: "variable" }>, lookup: Lookup): string {
  const value = lookup(part.name);
  const change = part.change;
  if (change === undefined) return value ?? "";
  const missing = value === undefined || ("alsoEmpty" in change && change.alsoEmpty && value === "");
  switch (change.kind) {
    case "default":
      return missing ? expandParts(change.word, lookup) : value;
    case "alternative":
      return missing ? "" : expandParts(change.word, lookup);
    case "required": {
      if (!missing) return value;
      const text = expandParts(change.word, lookup);
      const usual = change.alsoEmpty ? "is not allowed to be empty" : "is not allowed to be unset";
      throw new WordError(`${part.name}: ${text === "" ? usual : text}`, 0);
    }
    case "strip": {
      const pattern = expandParts(change.pattern, lookup);
      return strip(value ?? "", pattern, change.end, change.longest);
    }
    case "replace": {
      const pattern = new RegExp(globSource(expandParts(change.pattern, lookup)), change.all ? "gsu" : "su");
      const replacement = expandParts(change.replacement, lookup).replace(/\\(.)/gsu, "$1");
      return (value ?? "").replace(pattern, () => replacement);
    }
  }
}

function strip(value: string, pattern: string, end: "prefix" | "suffix", longest: boolean): string {
  const source = new RegExp(`^(?:${globSource(pattern)})$`, "su");
  const lengths = Array.from({ length: value.length + 1 }, (_, i) => i);
  if (longest) lengths.reverse();
  for (const length of lengths) {
    const piece = end === "prefix" ? value.slice(0, length) : value.slice(value.length - length);
    if (source.test(piece)) return end === "prefix" ? value.slice(length) : value.slice(0, value.length - length);
  }
  return value;
}

/** Only `*` and `?` are special; a backslash makes them, itself, `/` and `}` ordinary. */
function globSource(pattern: string): string {
  let source = "";
  for (let i = 0; i < pattern.length; i += 1) {
    const character = pattern[i] ?? "";
    if (character === "\\") {
      i += 1;
      source += (pattern[i] ?? character).replace(/[$()*+.?[\\\]^{|}/]/g, "\\$&");
    } else if (character === "*") source += ".*";
    else if (character === "?") source += ".";
    else source += character.replace(/[$()+.[\\\]^{|}/]/g, "\\$&");
  }
  return source;
}

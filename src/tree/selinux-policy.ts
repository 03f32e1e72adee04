/**
 * Text files of an SELinux policy: file_contexts (PATH-REGEX [-TYPE] CONTEXT) and file_contexts.subs (ALIAS PATH).
 *
 * @see file_contexts(5)
 */
import { Failure } from "../core/failure.ts";

export interface Specification {
  /** Letter of file_contexts(5); any type when absent. */
  readonly type: string | undefined;
  readonly context: string;
  /** What every path that matches starts with. */
  readonly prefix: string;
  readonly pattern: RegExp;
}

/** `file` is for errors. Text is latin1. */
export function parseContexts(text: string, file: string): Specification[] {
  return parseLines(text).map(({ words, line }) => {
    const [regex = "", second = "", third] = words;
    const type = second.startsWith("-") ? second.slice(1) : undefined;
    const context = type === undefined ? second : (third ?? "");
    if (words.length > (type === undefined ? 2 : 3)) throw malformed(file, line, "words follow the context");
    if (context === "") throw malformed(file, line, "it has no context");
    if (type !== undefined && !/^[-bcdpls]$/.test(type)) throw malformed(file, line, `unknown file type "${second}"`);
    return { type, context, prefix: fixedPrefix(regex), pattern: compile(regex, file, line) };
  });
}

export function parseSubstitutions(text: string, file: string): [alias: string, path: string][] {
  return parseLines(text).map(({ words, line }) => {
    const [alias = "", path = ""] = words;
    if (words.length !== 2) throw malformed(file, line, `it has ${words.length} words, wanted an alias and a path`);
    return [alias, path];
  });
}

function parseLines(text: string): { readonly words: string[]; readonly line: number }[] {
  return text.split("\n").flatMap((raw, index) => {
    const words = raw.split(/[ \t\r\v\f]+/).filter((word) => word !== "");
    return words.length === 0 || words[0]?.startsWith("#") === true ? [] : [{ words, line: index + 1 }];
  });
}

function compile(regex: string, file: string, line: number): RegExp {
  try {
    return new RegExp(`^(?:${translate(regex)})$`, "s");
  } catch (cause) {
    throw malformed(file, line, `"${regex}" is not a regular expression`, cause);
  }
}

const CLASSES: Readonly<Record<string, string>> = {
  alpha: "A-Za-z",
  digit: "0-9",
  alnum: "A-Za-z0-9",
  upper: "A-Z",
  lower: "a-z",
  space: "\\s",
  blank: " \\t",
  punct: "!-\\/:-@\\[-`{-~",
  xdigit: "0-9A-Fa-f",
  word: "\\w",
};

/** The POSIX classes are all that PCRE has and JavaScript lacks in policies. */
function translate(regex: string): string {
  return regex.replace(/\[:([a-z]+):\]/g, (whole, name: string) => CLASSES[name] ?? whole);
}

const META = /[.^$?*+|[({\\]/;

/** The characters before the first one that a regular expression treats specially; none when the top level has alternatives. */
function fixedPrefix(regex: string): string {
  if (hasTopLevelAlternative(regex)) return "";
  let prefix = "";
  for (let at = 0; at < regex.length; at++) {
    const char = regex.charAt(at);
    const next = regex.charAt(at + 1);
    const isEscaped = char === "\\" && /[^A-Za-z0-9]/.test(next);
    const literal = isEscaped ? next : META.test(char) ? "" : char;
    if (literal === "") break;
    const after = regex.charAt(at + (isEscaped ? 2 : 1));
    if (after !== "" && "?*{".includes(after)) break;
    prefix += literal;
    if (isEscaped) at += 1;
  }
  return prefix;
}

function hasTopLevelAlternative(regex: string): boolean {
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < regex.length; at++) {
    const char = regex.charAt(at);
    if (char === "\\") at += 1;
    else if (inClass) inClass = char !== "]";
    else if (char === "[") inClass = true;
    else if (char === "(") depth += 1;
    else if (char === ")") depth -= 1;
    else if (char === "|" && depth === 0) return true;
  }
  return false;
}

function malformed(file: string, line: number, why: string, cause?: unknown): Failure {
  return new Failure("bad-input", `Cannot read SELinux policy "${file}" of the image: line ${line}: ${why}`, { cause });
}

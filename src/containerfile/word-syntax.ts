/**
 * Word syntax: quotes, escapes and `$variables` in the words of an instruction, as a tree. `parseWord` finds every syntax error
 * without knowing a value.
 *
 * @see POSIX Shell Command Language 2.6.2; Dockerfile reference, "Environment replacement"
 */

export type WordPart =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "variable"; readonly name: string; readonly change: Change | undefined; readonly quoted: boolean };

export type Change =
  | {
      readonly kind: "default" | "alternative" | "required";
      readonly alsoEmpty: boolean;
      readonly word: readonly WordPart[];
    }
  | {
      readonly kind: "strip";
      readonly end: "prefix" | "suffix";
      readonly longest: boolean;
      readonly pattern: readonly WordPart[];
    }
  | {
      readonly kind: "replace";
      readonly all: boolean;
      readonly pattern: readonly WordPart[];
      readonly replacement: readonly WordPart[];
    };

export interface WordSyntax {
  readonly escape: string;
  /** false: `$` is text. */
  readonly variables?: boolean;
  /** "keep": quotes are text (heredoc bodies). */
  readonly quotes?: "remove" | "keep";
}

/** `offset` counts from the word's start. */
export class WordError extends SyntaxError {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = "WordError";
    this.offset = offset;
  }
}

/** Throws WordError. */
export function parseWord(text: string, syntax: WordSyntax): WordPart[] {
  const reader: Reader = { text, at: 0, syntax: { variables: true, quotes: "remove", ...syntax } };
  const parts = readUntil(reader, "", false);
  return parts;
}

/** The one text of a word without variables. */
export function wordText(parts: readonly WordPart[]): string | undefined {
  let text = "";
  for (const part of parts) {
    if (part.kind !== "text") return undefined;
    text += part.text;
  }
  return text;
}

/** Names of the variables that a word reads, those in defaults included. */
export function variablesOf(parts: readonly WordPart[]): string[] {
  return parts.flatMap((part) => {
    if (part.kind === "text") return [];
    const change = part.change;
    if (change === undefined) return [part.name];
    if (change.kind === "strip") return [part.name, ...variablesOf(change.pattern)];
    if (change.kind === "replace")
      return [part.name, ...variablesOf(change.pattern), ...variablesOf(change.replacement)];
    return [part.name, ...variablesOf(change.word)];
  });
}

interface Reader {
  readonly text: string;
  at: number;
  readonly syntax: Required<WordSyntax>;
}

const BRACED_NAME = /[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]/y;

/** Reads up to `stop` (left unread) or the end. `rawEscapes` keeps an escape, written as `\\`, with what it escapes (patterns). */
function readUntil(reader: Reader, stop: string, rawEscapes: boolean): WordPart[] {
  const { text, syntax } = reader;
  const parts: WordPart[] = [];
  let plain = "";
  const flush = (): void => {
    if (plain !== "") parts.push({ kind: "text", text: plain, quoted: false });
    plain = "";
  };
  while (reader.at < text.length) {
    const character = text[reader.at] ?? "";
    if (stop !== "" && character === stop) break;
    if (character === "'" && syntax.quotes === "remove") {
      flush();
      parts.push(readSingleQuoted(reader));
    } else if (character === '"' && syntax.quotes === "remove") {
      flush();
      parts.push(...readDoubleQuoted(reader));
    } else if (character === "$" && syntax.variables) {
      const variable = readVariable(reader, false);
      if (variable.kind === "text") plain += variable.text;
      else {
        flush();
        parts.push(variable);
      }
    } else if (character === syntax.escape) {
      plain += readEscape(reader, rawEscapes);
    } else {
      plain += rawEscapes && character === "\\" ? "\\\\" : character;
      reader.at += 1;
    }
  }
  flush();
  return parts;
}

/** An escape character takes the next one as it is; in heredoc bodies only `$` and itself are escaped. */
function readEscape(reader: Reader, raw: boolean): string {
  const { text, syntax } = reader;
  const next = text[reader.at + 1];
  if (next === undefined) {
    reader.at += 1;
    return raw ? "\\" : syntax.quotes === "keep" ? syntax.escape : "";
  }
  if (syntax.quotes === "keep" && next !== "$" && next !== syntax.escape) {
    reader.at += 1;
    return syntax.escape;
  }
  const whole = String.fromCodePoint(text.codePointAt(reader.at + 1) ?? 0);
  reader.at += 1 + whole.length;
  return raw ? `\\${whole}` : whole;
}

function readSingleQuoted(reader: Reader): WordPart {
  const end = reader.text.indexOf("'", reader.at + 1);
  if (end < 0) throw new WordError("unterminated ' quote", reader.at);
  const part: WordPart = { kind: "text", text: reader.text.slice(reader.at + 1, end), quoted: true };
  reader.at = end + 1;
  return part;
}

function readDoubleQuoted(reader: Reader): WordPart[] {
  const { text, syntax } = reader;
  const start = reader.at;
  const parts: WordPart[] = [];
  let plain = "";
  reader.at += 1;
  const flush = (evenEmpty: boolean): void => {
    if (plain !== "" || evenEmpty) parts.push({ kind: "text", text: plain, quoted: true });
    plain = "";
  };
  while (reader.at < text.length) {
    const character = text[reader.at] ?? "";
    if (character === '"') {
      reader.at += 1;
      flush(parts.length === 0);
      return parts;
    }
    if (character === "$" && syntax.variables) {
      const variable = readVariable(reader, true);
      if (variable.kind === "text") plain += variable.text;
      else {
        flush(false);
        parts.push(variable);
      }
      continue;
    }
    const next = text[reader.at + 1];
    if (character === syntax.escape && (next === '"' || next === "$" || next === syntax.escape)) {
      plain += next;
      reader.at += 2;
      continue;
    }
    plain += character;
    reader.at += 1;
  }
  throw new WordError('unterminated " quote', start);
}

/** At a `$`: the variable, or the text `$` when none follows. */
function readVariable(reader: Reader, quoted: boolean): WordPart {
  const start = reader.at;
  if (reader.text[start + 1] === "{") return readBraced(reader, quoted);
  NAME.lastIndex = start + 1;
  const name = NAME.exec(reader.text)?.[0];
  reader.at = start + 1 + (name?.length ?? 0);
  if (name === undefined) return { kind: "text", text: "$", quoted };
  return { kind: "variable", name, change: undefined, quoted };
}

function readBraced(reader: Reader, quoted: boolean): WordPart {
  const { text } = reader;
  const start = reader.at;
  const bad = (message: string): WordError => new WordError(message, start);
  if (reader.at + 2 >= text.length) throw bad("missing } after ${");
  BRACED_NAME.lastIndex = start + 2;
  const name = BRACED_NAME.exec(text)?.[0];
  if (name === undefined) throw bad("bad substitution");
  reader.at = start + 2 + name.length;
  const change = readChange(reader, bad);
  if (text[reader.at] !== "}") throw bad("missing } after ${");
  reader.at += 1;
  return { kind: "variable", name, change, quoted };
}

function readChange(reader: Reader, bad: (message: string) => WordError): Change | undefined {
  const { text } = reader;
  const first = text[reader.at];
  if (first === undefined) throw bad("missing } after ${");
  if (first === "}") return undefined;
  const alsoEmpty = first === ":";
  const operator = alsoEmpty ? text[reader.at + 1] : first;
  const kind =
    operator === "-" ? "default" : operator === "+" ? "alternative" : operator === "?" ? "required" : undefined;
  if (kind !== undefined) {
    reader.at += alsoEmpty ? 2 : 1;
    return { kind, alsoEmpty, word: readUntil(reader, "}", false) };
  }
  if (alsoEmpty) throw bad(operator === undefined ? "missing } after ${" : `unsupported modifier :${operator}`);
  const doubled = text[reader.at + 1] === first;
  if (first === "#" || first === "%") {
    reader.at += doubled ? 2 : 1;
    const pattern = readUntil(reader, "}", true);
    checkPattern(pattern, reader.syntax.escape, bad);
    return { kind: "strip", end: first === "#" ? "prefix" : "suffix", longest: doubled, pattern };
  }
  if (first === "/") {
    reader.at += doubled ? 2 : 1;
    const pattern = readUntil(reader, "/", true);
    if (text[reader.at] !== "/") throw bad("missing / in ${name/pattern/replacement}");
    checkPattern(pattern, reader.syntax.escape, bad);
    reader.at += 1;
    return { kind: "replace", all: doubled, pattern, replacement: readUntil(reader, "}", true) };
  }
  throw bad(`unsupported modifier ${first}`);
}

function checkPattern(pattern: readonly WordPart[], escape: string, bad: (message: string) => WordError): void {
  for (const part of pattern) {
    if (part.kind !== "text" || part.quoted) continue;
    for (let i = 0; i < part.text.length; i += 1) {
      if (part.text[i] !== "\\") continue;
      i += 1;
      const escaped = part.text[i];
      if (escaped === undefined || !["*", "?", "\\", escape, "/", "}"].includes(escaped)) {
        throw bad(`invalid escape ${escape}${escaped ?? ""} in a pattern`);
      }
    }
  }
}

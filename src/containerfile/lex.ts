/**
 * lexContainerfile(): bytes of a Containerfile → logical lines: directives read, comments gone, continuations joined, heredoc
 * bodies taken.
 *
 * @see Dockerfile reference, "Parser directives", "Here-Documents"; Containerfile(5)
 */
import { ContainerfileError } from "./containerfile-error.ts";
import { findHeredocs, type HeredocOpening } from "./heredoc.ts";
import { errorAt, type Heredoc, type LogicalLine, type Piece, type Warning } from "./logical-line.ts";
import { suggest } from "../core/suggest.ts";

export interface Directives {
  readonly escape: string;
  /** Names a frontend image elsewhere; berth has one language and ignores it. */
  readonly syntax: string | undefined;
  readonly check: string | undefined;
}

export interface LexedFile {
  readonly directives: Directives;
  readonly lines: readonly LogicalLine[];
  readonly warnings: readonly Warning[];
}

/** Longest physical line, in bytes. */
export const LINE_BYTES_MAX = 65535;

/** Throws ContainerfileError. */
export function lexContainerfile(text: string): LexedFile {
  const physical = splitLines(text.startsWith("\uFEFF") ? text.slice(1) : text);
  const { directives, next } = readDirectives(physical);
  const lines: LogicalLine[] = [];
  const warnings: Warning[] = [];
  let at = next;
  while (at < physical.length) {
    const raw = physical[at] ?? "";
    if (isComment(raw) || raw.trim() === "") {
      at += 1;
      continue;
    }
    const joined = joinContinuation(physical, at, directives.escape, warnings);
    at = joined.next;
    if (joined.text.trim() === "") continue;
    const opened: LogicalLine = { ...joined, heredocs: [], endLine: joined.next };
    const { heredocs, next: after } = readHeredocs(physical, at, opened, directives.escape);
    at = after;
    lines.push({ text: joined.text, pieces: joined.pieces, line: joined.line, endLine: after, heredocs });
  }
  if (lines.length === 0) {
    throw new ContainerfileError("file with no instructions", { line: 1, column: 1, lineText: physical[0] ?? "" });
  }
  return { directives, lines, warnings };
}

function splitLines(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  lines.forEach((line, i) => {
    if (line.length > LINE_BYTES_MAX / 3 && Buffer.byteLength(line) > LINE_BYTES_MAX) {
      const message = `line is longer than ${LINE_BYTES_MAX} bytes`;
      throw new ContainerfileError(message, { line: i + 1, column: 1, lineText: line.slice(0, 200) });
    }
    const nul = line.indexOf("\0");
    if (nul >= 0) {
      throw new ContainerfileError("line holds a NUL byte, this is not a text file", {
        line: i + 1,
        column: nul + 1,
        lineText: "",
      });
    }
  });
  return lines;
}

const DIRECTIVE = /^#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$/;
const DIRECTIVES = ["syntax", "escape", "check"];

function readDirectives(physical: readonly string[]): { directives: Directives; next: number } {
  const seen = new Map<string, string>();
  let next = 0;
  for (; next < physical.length; next += 1) {
    const lineText = (physical[next] ?? "").trim();
    const match = DIRECTIVE.exec(lineText);
    const key = match?.[1]?.toLowerCase() ?? "";
    if (match === null || !DIRECTIVES.includes(key)) break;
    const place = { line: next + 1, column: 1, lineText };
    if (seen.has(key)) throw new ContainerfileError(`only one ${key} parser directive can be used`, place);
    const value = match[2] ?? "";
    if (key === "escape" && value !== "\\" && value !== "`") {
      const hint = "wanted # escape=\\ or # escape=`";
      throw new ContainerfileError(`invalid escape directive ${JSON.stringify(value)}`, { ...place, hint });
    }
    seen.set(key, value);
  }
  return {
    directives: { escape: seen.get("escape") ?? "\\", syntax: seen.get("syntax"), check: seen.get("check") },
    next,
  };
}

function isComment(raw: string): boolean {
  return /^\s*#/.test(raw);
}

interface Joined {
  readonly text: string;
  readonly pieces: readonly Piece[];
  readonly line: number;
  /** Index of the first physical line after it. */
  readonly next: number;
}

function joinContinuation(physical: readonly string[], start: number, escape: string, warnings: Warning[]): Joined {
  const pieces: Piece[] = [];
  let text = "";
  let at = start;
  let warned = false;
  for (let more = true; more && at < physical.length; at += 1) {
    const raw = (physical[at] ?? "").replace(/[\r]+$/, "");
    if (at > start && isComment(raw)) continue;
    if (at > start && raw.trim() === "") {
      if (!warned) warnings.push({ line: at + 1, message: "empty continuation line (this will be an error one day)" });
      warned = true;
      continue;
    }
    const column = at === start ? raw.length - raw.trimStart().length : 0;
    const cut = cutContinuation(raw.slice(column), escape);
    pieces.push({ offset: text.length, line: at + 1, column, lineText: raw });
    text += cut.text;
    more = cut.continues;
  }
  return { text, pieces, line: start + 1, next: at };
}

/** A line goes on when it ends with one escape character, blanks after it allowed; two of them are data. */
function cutContinuation(line: string, escape: string): { text: string; continues: boolean } {
  const trimmed = line.replace(/[ \t]+$/, "");
  if (!trimmed.endsWith(escape) || trimmed.endsWith(escape + escape)) return { text: line, continues: false };
  return { text: trimmed.slice(0, -1), continues: true };
}

function readHeredocs(
  physical: readonly string[],
  start: number,
  line: LogicalLine,
  escape: string,
): { heredocs: Heredoc[]; next: number } {
  const heredocs: Heredoc[] = [];
  let at = start;
  for (const opening of findHeredocs(line, escape)) {
    const body = readBody(physical, at, opening);
    if (body === undefined) {
      const near = suggest(
        opening.name,
        physical.slice(at).map((raw) => raw.trim()),
      );
      const hint =
        near === undefined ? `a line with only ${opening.name} must end it` : `a line reads ${JSON.stringify(near)}`;
      throw errorAt(line, `unterminated heredoc ${JSON.stringify(opening.name)}`, opening.offset, hint);
    }
    const { name, expand, stripTabs, descriptor } = opening;
    heredocs.push({ name, expand, stripTabs, descriptor, content: body.content, line: at + 1 });
    at = body.next;
  }
  return { heredocs, next: at };
}

function readBody(
  physical: readonly string[],
  start: number,
  opening: HeredocOpening,
): { content: string; next: number } | undefined {
  let content = "";
  for (let at = start; at < physical.length; at += 1) {
    const raw = physical[at] ?? "";
    const line = opening.stripTabs ? raw.replace(/^\t+/, "") : raw;
    if (line.replace(/\r+$/, "") === opening.name) return { content, next: at + 1 };
    content += `${line}\n`;
  }
  return undefined;
}

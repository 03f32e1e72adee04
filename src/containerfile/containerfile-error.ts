/**
 * ContainerfileError: what is wrong with a Containerfile and where. A SyntaxError of a pure parser; the builder wraps it once
 * with the file's name.
 *
 * Lines and columns count from 1; a column counts characters (code points) of the physical line.
 */

export interface ErrorPlace {
  readonly line: number;
  readonly column: number;
  /** The physical line, without its newline. */
  readonly lineText: string;
  /** One sentence, e.g. "did you mean RUN?". */
  readonly hint?: string | undefined;
}

export class ContainerfileError extends SyntaxError {
  readonly line: number;
  readonly column: number;
  readonly lineText: string;
  readonly hint: string | undefined;

  constructor(message: string, place: ErrorPlace) {
    super(message);
    this.name = "ContainerfileError";
    this.line = place.line;
    this.column = place.column;
    this.lineText = place.lineText;
    this.hint = place.hint;
  }
}

/**
 * The line with a caret below the column, for people:
 *
 *     3 | RUM apt-get update
 *       | ^
 */
export function formatExcerpt(error: ContainerfileError): string {
  const number = String(error.line);
  const shown = excerpt(error.lineText, error.column);
  const gutter = " ".repeat(number.length);
  return `  ${number} | ${shown.text}\n  ${gutter} | ${shown.indent}^`;
}

const EXCERPT_CHARACTERS = 100;

/** Long lines are cut around the column; tabs stay tabs below the text so that the caret lines up. */
function excerpt(lineText: string, column: number): { text: string; indent: string } {
  const characters = Array.from(lineText).map((character) => (character < " " && character !== "\t" ? " " : character));
  const start = column > EXCERPT_CHARACTERS - 20 ? column - EXCERPT_CHARACTERS + 20 : 0;
  const cut = characters.slice(start, start + EXCERPT_CHARACTERS);
  const before = characters.slice(start, column - 1).map((character) => (character === "\t" ? "\t" : " "));
  return start === 0
    ? { text: cut.join(""), indent: before.join("") }
    : { text: `…${cut.join("")}`, indent: ` ${before.join("")}` };
}

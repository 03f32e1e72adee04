/**
 * LogicalLine: one instruction's text after continuation lines are joined, which still knows where each character stood.
 */
import { ContainerfileError } from "./containerfile-error.ts";

export interface Heredoc {
  /** The delimiter word without its quotes: also the file's name in COPY and ADD. */
  readonly name: string;
  /** Variables in the body are expanded (the delimiter was not quoted). */
  readonly expand: boolean;
  /** `<<-`: leading tabs are gone already. */
  readonly stripTabs: boolean;
  /** The digits before `<<`, empty for standard input. */
  readonly descriptor: string;
  readonly content: string;
  /** Physical line of the first body line. */
  readonly line: number;
}

/** From `offset` of the joined text on, characters stand at `line`, `column` (UTF-16 units, from 0) and after. */
export interface Piece {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
  readonly lineText: string;
}

export interface LogicalLine {
  readonly text: string;
  /** First and last physical line, heredoc bodies included. */
  readonly line: number;
  readonly endLine: number;
  readonly pieces: readonly Piece[];
  readonly heredocs: readonly Heredoc[];
}

export interface Warning {
  readonly line: number;
  readonly message: string;
}

/** An error that points at `offset` of the joined text. */
export function errorAt(line: LogicalLine, message: string, offset = 0, hint?: string): ContainerfileError {
  const bounded = Math.max(0, Math.min(offset, line.text.length));
  const piece = line.pieces.findLast((candidate) => candidate.offset <= bounded) ?? line.pieces[0];
  if (piece === undefined)
    return new ContainerfileError(message, { line: line.line, column: 1, lineText: line.text, hint });
  const unit = piece.column + bounded - piece.offset;
  const column = Array.from(piece.lineText.slice(0, unit)).length + 1;
  return new ContainerfileError(message, { line: piece.line, column, lineText: piece.lineText, hint });
}

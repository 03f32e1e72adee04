/** findHeredocs(): the `<<WORD` of a RUN, COPY or ADD line. */
import type { LogicalLine } from "./logical-line.ts";
import { isBlank, restOf, splitQuoted, parseJsonForm, type Word } from "./words.ts";
import { parseWord, wordText } from "./word-syntax.ts";

export interface HeredocOpening {
  readonly name: string;
  readonly expand: boolean;
  readonly stripTabs: boolean;
  readonly descriptor: string;
  readonly offset: number;
}

const WITH_HEREDOC = /^(?:onbuild[\t\v\f\r ]+)?(?:run|copy|add)(?=[\t\v\f\r ])/i;
const OPENING = /^(\d*)<<(-?)([^<]+)$/;

export function findHeredocs(line: LogicalLine, escape: string): HeredocOpening[] {
  const instruction = WITH_HEREDOC.exec(line.text);
  if (instruction === null || !line.text.includes("<<")) return [];
  let start = instruction[0].length;
  while (isBlank(line.text[start])) start += 1;
  const words = splitQuoted(line.text, escape, start);
  const first = words.find((word) => !word.text.startsWith("--"));
  if (first !== undefined && parseJsonForm(restOf(line.text, first.offset).text).kind === "array") return [];
  return words.flatMap((word) => parseOpening(word, escape) ?? []);
}

/** undefined when the word opens no heredoc. */
export function parseOpening(word: Word, escape: string): HeredocOpening | undefined {
  const match = OPENING.exec(word.text);
  if (match === null) return undefined;
  const [, descriptor = "", dash = "", rest = ""] = match;
  let name: string | undefined;
  try {
    name = wordText(parseWord(rest, { escape, variables: false }));
  } catch {
    return undefined;
  }
  if (name === undefined || name === "") return undefined;
  return { name, expand: name === rest, stripTabs: dash === "-", descriptor, offset: word.offset };
}

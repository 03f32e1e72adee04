/**
 * How an error is told: one line with the whole chain of causes, then a hint. A bug of ours shows its stack. Control characters and
 * credentials in URLs never reach the terminal.
 */
import { Failure } from "../core/failure.ts";

export interface ErrorReport {
  readonly text: string;
  readonly exitCode: number;
}

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
export const EXIT_BUG = 70;

export function reportError(error: unknown, options: { debug: boolean }): ErrorReport {
  if (!isExpected(error)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { text: `berth failed in a way it should not; this is a bug:\n${clean(stack, true)}\n`, exitCode: EXIT_BUG };
  }
  const chain = causes(error);
  const message = chain
    .map((link) => (link instanceof Error ? link.message : String(link)))
    .filter((text, i, all) => text !== "" && !all[i - 1]?.includes(text))
    .join(": ");
  const hint = chain.find((link): link is Failure => link instanceof Failure && link.hint !== undefined)?.hint;
  const stack = options.debug && error instanceof Error ? `${clean(error.stack ?? "", true)}\n` : "";
  return {
    // An exit status that is a container's comes without a word of ours.
    text:
      message === ""
        ? ""
        : `error: ${clean(message, false)}\n${hint === undefined ? "" : `hint: ${clean(hint, false)}\n`}${stack}`,
    exitCode:
      error instanceof Failure
        ? (error.exitCode ?? (error.code === "usage" ? EXIT_USAGE : EXIT_FAILURE))
        : EXIT_FAILURE,
  };
}

/** A Failure, or what a pure parser throws for malformed input. */
function isExpected(error: unknown): boolean {
  return error instanceof Failure || error instanceof SyntaxError;
}

function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (
    let link = error;
    link !== undefined && link !== null && chain.length < 8;
    link = link instanceof Error ? link.cause : undefined
  ) {
    chain.push(link);
  }
  return chain;
}

function clean(text: string, keepLines: boolean): string {
  const oneLine = keepLines ? text : text.trim().replace(/\s*\n\s*/g, " | ");
  return oneLine.replace(/:\/\/[^/\s:@]+:[^/\s@]+@/g, "://***@").replace(/[\x00-\x08\x0b-\x1f\x7f\x9b]/g, "?");
}

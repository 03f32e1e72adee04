/** HEALTHCHECK: NONE, or CMD with its durations. */
import { parseDuration } from "./duration.ts";
import type { InstructionBody } from "./instruction.ts";
import { commandArgs, fail, readCommandLine, type ReadInstruction, type ShapeContext } from "./shape-context.ts";
import { restOf } from "./words.ts";

export function readHealthcheck(context: ShapeContext): ReadInstruction {
  const { rest, flags, line } = context;
  const word = /^[^\t\v\f\r ]+/.exec(rest.text)?.[0] ?? "";
  if (word === "")
    throw fail(
      context,
      "HEALTHCHECK requires at least one argument",
      0,
      "write HEALTHCHECK CMD command, or HEALTHCHECK NONE",
    );
  const after = restOf(line.text, rest.offset + word.length);
  if (word.toUpperCase() === "NONE") {
    if (after.text !== "") throw fail(context, "HEALTHCHECK NONE takes no arguments", after.offset);
    if (flags.words.length > 0) throw fail(context, "HEALTHCHECK NONE takes no flags");
    return { body: { kind: "healthcheck", command: undefined }, args: ["NONE"] };
  }
  if (word.toUpperCase() !== "CMD") {
    throw fail(context, `unknown type ${JSON.stringify(word)} of HEALTHCHECK`, rest.offset, "wanted CMD or NONE");
  }
  if (after.text === "") throw fail(context, "HEALTHCHECK CMD misses its command", rest.offset);
  const command = readCommandLine(context, after);
  const duration = (name: string): number | undefined => {
    const given = flags.one(name);
    if (given === undefined) return undefined;
    const value = parseDuration(given.text);
    if (value === undefined || (value !== 0 && value < 1)) {
      throw fail(
        context,
        `invalid --${name} ${JSON.stringify(given.text)}`,
        given.offset,
        "wanted a duration of at least 1ms, e.g. 30s or 1m30s",
      );
    }
    return value;
  };
  const retries = flags.one("retries");
  if (retries !== undefined && !/^[0-9]+$/.test(retries.text)) {
    throw fail(context, `invalid --retries ${JSON.stringify(retries.text)}, wanted a number`, retries.offset);
  }
  const body: InstructionBody = {
    kind: "healthcheck",
    command,
    intervalMs: duration("interval"),
    timeoutMs: duration("timeout"),
    startPeriodMs: duration("start-period"),
    startIntervalMs: duration("start-interval"),
    retries: retries && Number(retries.text),
  };
  return { body, args: ["CMD", ...commandArgs(command)] };
}

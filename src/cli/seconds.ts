/** parseSeconds(): a number of seconds from a flag, as milliseconds. */
import { Failure } from "../core/failure.ts";

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^\d+(?:\.\d+)?$/.test(text) || seconds > 1e6)
    throw new Failure("usage", `Cannot wait "${text}" seconds: wanted a number`);
  return seconds * 1000;
}

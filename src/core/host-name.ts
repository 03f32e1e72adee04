/** parseHostname(): a machine's or a container's name. @see hostname(7) */
import { Failure } from "./failure.ts";

/** Failure "usage" unless `text` is a host name as hostname(7) has it. */
export function parseHostname(text: string): string {
  const labels = text.split(".");
  if (text.length > 64 || labels.some((label) => !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label))) {
    throw new Failure(
      "usage",
      `Cannot use host name ${JSON.stringify(text)}: wanted letters, digits, - and dots, at most 64`,
    );
  }
  return text;
}

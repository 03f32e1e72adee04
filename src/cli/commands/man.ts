/** `berth man`: the manual page on stdout, as man(7) source. */
import { type Command, command } from "../command.ts";
import { formatManPage } from "../help.ts";
import { VERSION } from "../version.ts";

export function createManCommand(all: () => readonly Command[]): Command {
  return command({
    name: "man",
    summary: "Print the manual page",
    flags: {},
    examples: [["berth man | man -l -", "read it"]],
    async run(_values, _operands, context) {
      context.print(formatManPage(all(), VERSION));
    },
  });
}

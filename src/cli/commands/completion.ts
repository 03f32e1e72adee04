/** `berth completion SHELL`: a completion script on stdout. */
import { Failure } from "../../core/failure.ts";
import { type Command, command } from "../command.ts";
import { formatCompletion } from "../help.ts";

/** `all` is the table that the script completes; it is handed in because this command is part of it. */
export function createCompletionCommand(all: () => readonly Command[]): Command {
  return command({
    name: "completion",
    summary: "Print a completion script for bash, zsh or fish",
    operands: [{ name: "SHELL", summary: "bash, zsh or fish" }],
    flags: {},
    examples: [["berth completion bash > /etc/bash_completion.d/berth", "complete berth's words in every new shell"]],
    async run(_values, [shell], context) {
      if (shell !== "bash" && shell !== "zsh" && shell !== "fish") {
        throw new Failure("usage", `Cannot complete for shell ${JSON.stringify(shell)}: wanted bash, zsh or fish`);
      }
      context.print(formatCompletion(all(), shell));
    },
  });
}

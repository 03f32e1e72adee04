/** `berth completion SHELL`: a completion script on stdout. */
import { command } from "../command.ts";
import { formatCompletion, SHELLS } from "../completion-script.ts";

export const completionCommand = command({
  name: "completion",
  summary: "Print a completion script for bash, zsh or fish",
  operands: [{ name: "SHELL", summary: "bash, zsh or fish", choices: SHELLS }],
  flags: {},
  examples: [["berth completion bash > /etc/bash_completion.d/berth", "complete berth's words in every new shell"]],
  async run(_values, [name], context) {
    const shell = SHELLS.find((known) => known === name);
    if (shell !== undefined) context.print(formatCompletion(shell));
  },
});

/** The table of commands: what help, man page, completion and the parser read. */
import type { Command } from "./command.ts";
import { createCompletionCommand } from "./commands/completion.ts";
import { createManCommand } from "./commands/man.ts";
import { tourCommand } from "./commands/tour.ts";

export const commands: readonly Command[] = [
  tourCommand,
  createCompletionCommand(() => commands),
  createManCommand(() => commands),
];

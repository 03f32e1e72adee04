/** The table of commands: what help, man page, completion and the parser read. */
import type { Command } from "./command.ts";

export const commands: readonly Command[] = [];

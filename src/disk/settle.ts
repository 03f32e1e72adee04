/**
 * settleCommands(): debugfs commands that take the traces of the build from a file system made by mke2fs: access and change times of all
 * inodes, and modification times later than the disk's own time. What the image says about times stays.
 */
import type { Host } from "../host/host.ts";
import { quoteForDebugfs } from "./verity-file.ts";

export interface SettleOptions {
  /** The staged tree that the file system was made from. */
  readonly tree: string;
  /** Seconds since the epoch. */
  readonly epoch: number;
}

export function settleCommands(host: Pick<Host, "files">, options: SettleOptions): readonly string[] {
  const time = `@${options.epoch}`;
  const commands: string[] = [];
  const visit = (directory: string): void => {
    for (const name of host.files.list(`${options.tree}${directory}`)) {
      const path = `${directory}/${name}`;
      const stat = host.files.lstat(`${options.tree}${path}`);
      // debugfs reads a script by lines: such a name keeps its times.
      if (stat === undefined || /[\n\r]/.test(name)) continue;
      const quoted = quoteForDebugfs(path);
      commands.push(`sif ${quoted} ctime ${time}`, `sif ${quoted} atime ${time}`);
      if (stat.mtimeSec > options.epoch) commands.push(`sif ${quoted} mtime ${time}`);
      if (stat.kind === "directory") visit(path);
    }
  };
  visit("");
  return ["sif / ctime", "sif / atime", "sif / mtime"].map((command) => `${command} ${time}`).concat(commands);
}

/** Gives every file and directory of a staged ESP the disk's time: FAT keeps modification times only. */
export function settleEsp(host: Pick<Host, "files">, options: SettleOptions): void {
  const visit = (path: string): void => {
    if (host.files.lstat(path)?.kind === "directory") for (const name of host.files.list(path)) visit(`${path}/${name}`);
    host.files.setTimes(path, options.epoch, 0);
  };
  visit(options.tree);
}

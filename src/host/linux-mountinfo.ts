/**
 * readMountInfo(): the mounts of our namespace, in mount order. Octal escapes are undone: paths are byte strings.
 *
 * @see proc_pid_mountinfo(5)
 */
import * as fs from "node:fs";
import type { MountInfo } from "./host.ts";

export function readMountInfo(): MountInfo[] {
  let text: string;
  try {
    text = fs.readFileSync("/proc/self/mountinfo", "latin1");
  } catch {
    return [];
  }
  return parseMountInfo(text);
}

/** Lines that are not of the documented form are left out. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split("\n")) {
    const [left, right] = line.split(" - ", 2);
    const head = left?.split(" ") ?? [];
    const [type, source, superOptions] = right?.split(" ") ?? [];
    const [target, options] = [head[4], head[5]];
    if (target === undefined || options === undefined || type === undefined || source === undefined) continue;
    mounts.push({
      source: unescapeOctal(source),
      target: unescapeOctal(target),
      type,
      options,
      superOptions: superOptions ?? "",
    });
  }
  return mounts;
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/**
 * The machine's serial console, as QEMU logs it: plain text without escape sequences, and the signs in it.
 *
 * Whoever waits for a machine reads here first and connects once the sign has come: connections made too early are accepted by
 * QEMU's network, queue up, and keep the machine's sshd busy with dead clients.
 */
import type { Host } from "../host/host.ts";
import type { VmPaths } from "./qemu-argv.ts";

const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** Bytes logged so far: a mark for `consoleText`. */
export function consoleMark(host: Pick<Host, "files">, paths: VmPaths): number {
  return host.files.stat(paths.consoleLog)?.size ?? 0;
}

/** What was logged since `mark` (the last 16 MiB of it), without escape sequences and carriage returns. */
export function consoleText(host: Pick<Host, "files">, paths: VmPaths, mark = 0): string {
  const size = consoleMark(host, paths);
  if (size <= mark) return "";
  const from = Math.max(mark, size - LOG_BYTES_MAX);
  using log = host.files.open(paths.consoleLog, "read");
  const bytes = Buffer.alloc(size - from);
  const count = log.read(bytes, from);
  return plainText(bytes.subarray(0, count).toString("utf8"));
}

export function plainText(text: string): string {
  return text
    .replace(/\x1b(?:\[[0-9;?=]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>A-Za-z])/g, "")
    .replaceAll("\r", "");
}

/**
 * Does the current boot run an sshd? systemd says that it started it, or a login prompt shows that the boot is through. What came before
 * the last kernel's first line, or before a shutdown's lines, is of an earlier boot.
 */
export function showsSsh(text: string): boolean {
  const boot = text.slice(
    lastIndexOf(text, /Linux version |Stopp(?:ed|ing)\b.*\bssh|systemd-shutdown|reboot: (?:Restarting|Power)/g),
  );
  return /Started\b.*\b(?:sshd?\.service|OpenBSD Secure Shell|OpenSSH)|\blogin: /.test(boot);
}

/** Why the current boot's kernel panicked; undefined when it did not, or is going to reboot by itself (`panic=`). */
export function panicOf(text: string): string | undefined {
  const boot = text.slice(lastIndexOf(text, /Linux version /g));
  if (/Rebooting in \d+ seconds/.test(boot)) return undefined;
  return /Kernel panic - not syncing: (.*)/.exec(boot)?.[1]?.trim();
}

function lastIndexOf(text: string, pattern: RegExp): number {
  let last = 0;
  for (const match of text.matchAll(pattern)) last = match.index;
  return last;
}

/** The last lines, for an error. */
export function consoleTail(text: string, lines = 3): string {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .slice(-lines)
    .join(" | ")
    .slice(-400);
}

/** requireSpace(): asks before the work starts whether the disk can hold what comes. */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { formatBytes } from "../core/units.ts";
import type { Host } from "../host/host.ts";

/** `what` completes "Cannot …", e.g. "pull registry.example.com/os:latest". Failure "no-space" with both amounts. */
export function requireSpace(host: Pick<Host, "files">, path: string, requiredBytes: number, what: string): void {
  const { freeBytes } = host.files.space(path);
  if (freeBytes >= requiredBytes) return;
  throw new Failure(
    "no-space",
    `Cannot ${what}: "${byteNameToText(path)}" has ${formatBytes(freeBytes)} free, wanted ${formatBytes(requiredBytes)}`,
    { hint: "free some space, for example with berth store gc" },
  );
}

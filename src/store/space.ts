/** requireSpace(): asks before the work starts whether the disk can hold what comes. */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { formatBytes } from "../core/units.ts";
import type { Host } from "../host/host.ts";

const STORE_HINT = "free some space, for example with berth store gc";

/**
 * `path` may not be there yet. `what` completes "Cannot …", e.g. "pull registry.example.com/os:latest". Failure "no-space" with both
 * amounts; its hint is for a path in the store.
 */
export function requireSpace(
  host: Pick<Host, "files">,
  path: string,
  requiredBytes: number,
  what: string,
  hint = STORE_HINT,
): void {
  let there = path;
  while (!host.files.exists(there) && there.includes("/")) there = there.slice(0, there.lastIndexOf("/")) || "/";
  const { freeBytes } = host.files.space(host.files.exists(there) ? there : ".");
  if (freeBytes >= requiredBytes) return;
  throw new Failure(
    "no-space",
    `Cannot ${what}: "${byteNameToText(path)}" has ${formatBytes(freeBytes)} free, wanted ${formatBytes(requiredBytes)}`,
    { hint },
  );
}

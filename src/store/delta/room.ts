/** createRoom(): a buffer that is used again, because the collector is late with many large ones. */
import { GROUP_BYTES_MAX } from "../../format/delta/delta-index.ts";

export type Room = (sizeBytes: number) => Buffer;

/** What it gives is good until the next is taken; only what is larger than a group gets a buffer of its own. */
export function createRoom(): Room {
  let shared: Buffer | undefined;
  return (sizeBytes) => {
    if (sizeBytes > GROUP_BYTES_MAX) return Buffer.allocUnsafeSlow(sizeBytes);
    shared ??= Buffer.allocUnsafeSlow(GROUP_BYTES_MAX);
    return shared.subarray(0, sizeBytes);
  };
}

/** requireLayoutOrNothing(): a folder that an OCI layout may be written into. */
import { byteNameToText } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { INDEX_FILE, LAYOUT_FILE } from "../../oci/layout.ts";

/** True when there is a layout with an index already. Failure "conflict" for a folder that holds something else. */
export function requireLayoutOrNothing(host: Pick<Host, "files">, path: string, name: string): boolean {
  const found = host.files.listIfAny(path);
  if (found.length === 0) return false;
  if (!found.includes(LAYOUT_FILE)) {
    throw new Failure(
      "conflict",
      `Cannot write image "${name}": the folder "${byteNameToText(path)}" is not empty and no OCI image layout`,
    );
  }
  // A copy that was broken off has left the marker only.
  return found.includes(INDEX_FILE);
}

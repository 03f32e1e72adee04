/** Manifests and indexes out of files: their bytes checked, their kind known. */
import { collectBytes } from "../../core/bytes.ts";
import { type Digest, digestAlgorithm, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { asObject } from "../../core/json.ts";
import { MANIFEST_BYTES_MAX } from "../../oci/manifest.ts";
import { INDEX, MANIFEST } from "../../oci/media-types.ts";
import type { FileReader } from "./file-set.ts";
import type { ManifestDocument } from "./image-io.ts";

/** Failure "not-found", "bad-input". `what` names the image in the error. */
export async function readSmallFile(files: FileReader, name: string, what: string): Promise<Buffer> {
  const size = files.size(name);
  if (size === undefined) throw new Failure("not-found", `Cannot read image "${what}": it has no ${name}`);
  if (size > MANIFEST_BYTES_MAX) {
    throw new Failure(
      "bad-input",
      `Cannot read image "${what}": ${name} has ${size} bytes, wanted at most ${MANIFEST_BYTES_MAX}`,
    );
  }
  return collectBytes(files.read(name));
}

/** Failure "digest-mismatch" when the bytes are not those of `expected`, "bad-input" when they are no JSON object. */
export function toDocument(bytes: Buffer, what: string, expected?: Digest): ManifestDocument {
  const digest = digestOf(bytes, expected === undefined ? "sha256" : digestAlgorithm(expected));
  if (expected !== undefined && digest !== expected) {
    throw new Failure(
      "digest-mismatch",
      `Cannot accept a manifest of "${what}": its bytes hash to ${digest}, wanted ${expected}`,
    );
  }
  return understand(what, () => {
    const object = asObject(JSON.parse(bytes.toString("utf8")), "manifest");
    const own = object["mediaType"];
    const mediaType = typeof own === "string" ? own : object["manifests"] === undefined ? MANIFEST : INDEX;
    return { bytes, digest, mediaType };
  });
}

/** Malformed documents as one Failure that names the image. */
export function understand<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new Failure("bad-input", `Cannot read image "${what}": ${cause.message}`, { cause });
  }
}

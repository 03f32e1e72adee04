/**
 * For registry.ts: fetches an image's blobs into a folder as a pull does, each taken up again when it breaks and verified, without
 * unpacking. Arguments: reference, folder, credentials file.
 */
import { mapConcurrent } from "../src/core/concurrency.ts";
import { digestHex } from "../src/core/digest.ts";
import { silent } from "../src/core/progress.ts";
import { verified } from "../src/core/verified.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { parseImageRef } from "../src/oci/reference.ts";
import type { RemoteContext } from "../src/remote/context.ts";
import { fetchBlob } from "../src/remote/fetch-blob.ts";
import { resolveImage } from "../src/remote/resolve.ts";

void main();

async function main(): Promise<void> {
  const [reference = "", folder = "", authFile = ""] = process.argv.slice(2);
  const host = createLinuxHost();
  const context: RemoteContext = { host, progress: silent, authFile, tlsVerify: false };
  const { manifest, session } = await resolveImage(context, parseImageRef(reference));
  await mapConcurrent([manifest.config, ...manifest.layers], { limit: 4 }, async (descriptor) => {
    using file = host.files.open(`${folder}/${digestHex(descriptor.digest)}`, "create");
    for await (const chunk of verified(fetchBlob(context, session, descriptor), descriptor)) file.write(chunk);
  });
}

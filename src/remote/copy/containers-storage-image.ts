/**
 * An image in podman's storage (`containers-storage:`), by way of skopeo, which has the locks and formats of that storage; a folder
 * between the two holds the bytes for the time of the copy. podman keeps layers unpacked: what comes out of it is packed anew, so its
 * layers and its manifest may have other digests than when it went in.
 */
import { Failure } from "../../core/failure.ts";
import type { CopyContext, ImageSink, ImageSource } from "./image-io.ts";
import { readDirectoryImage, writeDirectoryImage } from "./directory-image.ts";

const TIMEOUT_MS = 3600_000;

/** Failure "missing-tool", "not-found". */
export async function readContainersStorageImage(context: CopyContext, image: string): Promise<ImageSource> {
  requireSkopeo(context);
  const name = `containers-storage:${image}`;
  const folder = context.host.files.temporaryDirectory("/var/tmp/berth-copy-");
  try {
    await skopeo(context, name, `dir:${folder.path}/image`);
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
  return {
    ...readDirectoryImage(context.host, `${folder.path}/image`, name),
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
}

/** Failure "missing-tool". */
export function writeContainersStorageImage(context: CopyContext, image: string): ImageSink {
  requireSkopeo(context);
  const name = `containers-storage:${image}`;
  const folder = context.host.files.temporaryDirectory("/var/tmp/berth-copy-");
  const sink = writeDirectoryImage(context.host, `${folder.path}/image`, name, context.signal);
  return {
    ...sink,
    takesIndex: false,
    async finish(manifest, platform) {
      await sink.finish(manifest, platform);
      await skopeo(context, `dir:${folder.path}/image`, name);
    },
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
}

async function skopeo(context: CopyContext, from: string, to: string): Promise<void> {
  await context.host.exec(["skopeo", "--insecure-policy", "copy", "--quiet", from, to], {
    timeoutMs: TIMEOUT_MS,
    signal: context.signal,
  });
}

function requireSkopeo({ host }: CopyContext): void {
  if (host.which("skopeo") !== undefined) return;
  throw new Failure("missing-tool", "Cannot reach containers-storage: skopeo is not installed", {
    hint: "install the package skopeo, which comes with podman",
  });
}

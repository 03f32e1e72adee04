/**
 * An image in podman's storage (`containers-storage:`), by way of skopeo, which has the locks and formats of that storage; a folder
 * between the two holds the bytes for the time of the copy. podman keeps layers unpacked: what comes out of it is packed anew, so its
 * layers and its manifest may have other digests than when it went in. skopeo is asked for the image first, so that a name or a
 * storage that is wrong is told before anything moves.
 *
 * @see containers-transports(5), "containers-storage"
 */
import { Failure, isFailure } from "../../core/failure.ts";
import type { CopyContext, ImageSink, ImageSource } from "./image-io.ts";
import { readDirectoryImage, writeDirectoryImage } from "./directory-image.ts";

const TIMEOUT_MS = 3600_000;
/** What containers/storage says of a name that is well formed. */
const NO_SUCH_IMAGE = /does not resolve to an image|identifier is not an image|image not known/;

/** Failure "missing-tool", "not-found", "bad-input". */
export async function readContainersStorageImage(context: CopyContext, image: string): Promise<ImageSource> {
  const name = `containers-storage:${image}`;
  if (!(await isStored(context, name))) {
    throw new Failure("not-found", `Cannot find image "${name}": podman's storage does not have it`, {
      hint: "podman images lists what it has",
    });
  }
  const folder = context.host.files.temporaryDirectory("/var/tmp/berth-copy-");
  try {
    await skopeo(context, "copy", "--quiet", name, `dir:${folder.path}/image`);
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
  return {
    ...readDirectoryImage(context.host, `${folder.path}/image`, name),
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
}

/** Failure "missing-tool", "bad-input". */
export async function writeContainersStorageImage(context: CopyContext, image: string): Promise<ImageSink> {
  const name = `containers-storage:${image}`;
  await isStored(context, name);
  const folder = context.host.files.temporaryDirectory("/var/tmp/berth-copy-");
  const sink = writeDirectoryImage(context.host, `${folder.path}/image`, name, context.signal);
  return {
    ...sink,
    takesIndex: false,
    async finish(manifest, platform) {
      await sink.finish(manifest, platform);
      await skopeo(context, "copy", "--quiet", `dir:${folder.path}/image`, name);
    },
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
}

/** Failure "missing-tool"; "bad-input" when there can be no such image. */
async function isStored(context: CopyContext, name: string): Promise<boolean> {
  if (context.host.which("skopeo") === undefined) {
    throw new Failure("missing-tool", "Cannot reach containers-storage: skopeo is not installed", {
      hint: "install the package skopeo, which comes with podman",
    });
  }
  try {
    await skopeo(context, "inspect", "--raw", name);
    return true;
  } catch (error) {
    if (!isFailure(error, "exec-failed")) throw error;
    if (NO_SUCH_IMAGE.test(error.message)) return false;
    throw new Failure("bad-input", `Cannot use image "${name}": ${reasonIn(error.message, name)}`);
  }
}

/** Of what skopeo logged, what follows the name. */
function reasonIn(log: string, name: string): string {
  const fatal = /level=fatal msg="((?:[^"\\]|\\.)*)"/.exec(log)?.[1] ?? log;
  return fatal.replaceAll('\\"', '"').split(`${name}": `).at(-1) ?? fatal;
}

/** Failure "exec-failed". */
async function skopeo({ host, signal }: CopyContext, ...words: readonly string[]): Promise<void> {
  await host.exec(["skopeo", "--insecure-policy", ...words], { timeoutMs: TIMEOUT_MS, signal });
}

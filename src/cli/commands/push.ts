/** `berth push`: an image from the store to a registry, as it is. */
import { Failure } from "../../core/failure.ts";
import { formatBytes } from "../../core/units.ts";
import type { ImageRef } from "../../oci/reference.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { previousImages } from "../../remote/previous-images.ts";
import { requireWritable } from "../../remote/push-blob.ts";
import { pushImage } from "../../remote/push.ts";
import { openPushSession } from "../../remote/session.ts";
import { LAYER_ENCODINGS, recompressImage, toEncoding } from "../../store/layer-encoding.ts";
import type { StoredImage } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage, readImageRef } from "../image-names.ts";
import { KEEP_XZ, pushDeltas, readDeltaCount } from "../push-deltas.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const pushCommand = command({
  name: "push",
  summary: "Push an image to a registry",
  description:
    "Uploads what the registry lacks. Digests stay as they are, also through a pull and a push to another registry.",
  flags: {
    ...REMOTE_FLAGS,
    "compression-format": {
      type: "string",
      value: "FORMAT",
      choices: LAYER_ENCODINGS,
      summary: "Compress the layers so; the image gets another digest where that changes one",
    },
    "delta-from": {
      type: "string",
      value: "N",
      summary:
        "Make deltas from the last N images of the repository: what the tag named until now, then the highest tags",
    },
    "keep-xz": KEEP_XZ,
    quiet: { type: "boolean", short: "q", summary: "Print nothing" },
  },
  operands: [
    { name: "IMAGE", summary: "name, id or digest of an image in the store" },
    { name: "DEST", summary: "HOST/NAME[:TAG]; its own name when left out", optional: true },
  ],
  examples: [
    ["berth push registry.example.com/team/os:1", "to where its name says"],
    ["berth push localhost/os registry.example.com/team/os:1", "under another name"],
    ["berth push --delta-from 3 registry.example.com/team/os:4", "small updates for machines that run :1, :2 or :3"],
    [
      "berth push --compression-format gzip localhost/os registry.example.com/team/os:1",
      "for clients that read gzip only",
    ],
  ],
  async run(values, [name = "", destination], context) {
    const keepXz = values["keep-xz"];
    const count = values["delta-from"] === undefined ? 0 : readDeltaCount(values["delta-from"]);
    if (keepXz && count === 0)
      throw new Failure("usage", "Cannot keep xz files as they are: no deltas are made, wanted --delta-from N");
    const remote = remoteContext(context, values);
    using store = openWorkstationStore(context.host);
    const found = findStoredImage(store, name);
    const ref = readDestination(found, name, destination);
    const format = values["compression-format"];
    const session = await openPushSession(remote, ref);
    // Compressing takes minutes.
    if (format !== undefined) await requireWritable(session);
    const image =
      format === undefined ? found : await recompressImage(store, found, toEncoding(format), context.signal);
    // Asked before the push: after it the tag names the new image.
    const from = count === 0 ? [] : await previousImages(session, ref.tag, count);
    const result = await pushImage(remote, store, image, ref, { session });
    const { sentBytes, skippedBytes } = result;
    context.progress.say(
      `Pushed ${formatImageRef(ref)}: ${formatBytes(sentBytes)} sent, ${formatBytes(skippedBytes)} already there`,
    );
    if (count > 0) await pushDeltas(remote, store, session, { next: image, ref, from, keepXz });
    return { name: formatImageRef(ref), ...result };
  },
  view: () => undefined,
});

function readDestination(image: StoredImage, name: string, destination: string | undefined): ImageRef {
  if (destination !== undefined) return readImageRef(destination);
  const own = image.names.find((candidate) => candidate === name || candidate === `${name}:latest`) ?? onlyName(image);
  if (own === undefined) {
    throw new Failure("usage", `Cannot push image "${name}": it is not clear where to, wanted a DEST`, {
      hint: `berth push ${name} HOST/NAME:TAG`,
    });
  }
  const ref = readImageRef(own);
  if (ref.host !== "localhost") return ref;
  throw new Failure("usage", `Cannot push image "${name}": its name "${own}" has no registry, wanted a DEST`, {
    hint: `berth push ${name} HOST/NAME:TAG`,
  });
}

function onlyName(image: StoredImage): string | undefined {
  return image.names.length === 1 ? image.names[0] : undefined;
}

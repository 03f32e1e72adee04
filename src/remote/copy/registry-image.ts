/** An image in a registry (`docker://`). What the registry has is skipped; reading and writing go on where they were broken off. */
import { Failure } from "../../core/failure.ts";
import { parseIndex, parseManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { formatImageRef, type ImageRef, manifestSelector } from "../../oci/reference.ts";
import { fetchBlob } from "../fetch-blob.ts";
import { fetchManifest } from "../fetch-manifest.ts";
import { readAnywhere } from "../read-anywhere.ts";
import { createBlobPusher, hasRemoteBlob } from "../push-blob.ts";
import { listInFallback, putManifest } from "../referrers.ts";
import { openPushSession, type Session } from "../session.ts";
import { requireTrust } from "../trust/require-trust.ts";
import { understand } from "./documents.ts";
import type { CopyContext, ImageSink, ImageSource, ManifestDocument } from "./image-io.ts";

/** Mirrors first, as a pull does. Failure "not-found", "network", "unauthorized", "denied". */
export async function readRegistryImage(context: CopyContext, ref: ImageRef): Promise<ImageSource> {
  const name = formatImageRef(ref);
  const { session, top } = await readAnywhere(context, ref, async (session) => {
    const top = await fetchManifest(session, manifestSelector(ref), { name });
    if (top !== undefined) return { session, top };
    throw new Failure("not-found", `Cannot find image "${name}": "${session.endpoint.host}" does not know it`);
  });
  return {
    name: `docker://${name}`,
    async manifest(digest) {
      if (digest === undefined) return top;
      const found = await fetchManifest(session, digest, { name });
      if (found === undefined) throw new Failure("not-found", `Cannot find manifest ${digest} of "${name}"`);
      return found;
    },
    blob: (blob, from) => fetchBlob(context, session, blob, { from }),
    requireTrust: (digests) => requireTrust(context, { ref, session, digests }),
    async [Symbol.asyncDispose]() {},
  };
}

/** Failure "network", "unauthorized", "denied". */
export async function writeRegistryImage(context: CopyContext, ref: ImageRef): Promise<ImageSink> {
  const session = await openPushSession(context, ref);
  const pusher = createBlobPusher(context, session);
  return {
    name: `docker://${formatImageRef(ref)}`,
    takesIndex: true,
    rewrites: undefined,
    begin() {},
    hasBlob: ({ blob }) => hasRemoteBlob(session, blob.digest),
    putBlob: async ({ blob, open, onBytes }) => (await pusher.push({ blob, open, onSent: onBytes })).note,
    putManifest: (manifest) => putDocument(session, manifest.digest, manifest),
    async finish(manifest) {
      if (ref.digest !== undefined && ref.digest !== manifest.digest) {
        throw new Failure("bad-input", `Cannot write "${formatImageRef(ref)}": the image is ${manifest.digest}`);
      }
      await putDocument(session, manifestSelector(ref), manifest);
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** A registry without the referrers API gets its fallback for a manifest with a subject. */
async function putDocument(session: Session, selector: string, manifest: ManifestDocument): Promise<void> {
  const { mediaType, digest, bytes } = manifest;
  const text = bytes.toString("utf8");
  const isListed = await putManifest(session, selector, mediaType, text);
  if (isListed) return;
  const { subject, artifactType, annotations } = understand(session.name, () =>
    isIndexType(mediaType) ? parseIndex(text, mediaType) : parseManifest(text, mediaType),
  );
  if (subject === undefined) return;
  await listInFallback(session, subject.digest, {
    mediaType,
    digest,
    size: bytes.length,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  });
}

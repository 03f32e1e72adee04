/**
 * resolveImage(): a reference to the manifest that it names now, for this machine's architecture. What it returns, the host's
 * policy.json accepts: nothing else of an image is read before that.
 *
 * @see OCI distribution-spec "Pulling manifests"; image-spec image-index.md
 */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { type Descriptor, type Index, type Manifest, parseIndex, parseManifest } from "../oci/manifest.ts";
import { isIndexType } from "../oci/media-types.ts";
import { formatImageRef, type ImageRef, manifestSelector } from "../oci/reference.ts";
import type { RemoteContext } from "./context.ts";
import { fetchManifest, findManifestDigest } from "./fetch-manifest.ts";
import { readAnywhere } from "./read-anywhere.ts";
import type { Session } from "./session.ts";
import { requireTrust } from "./trust/require-trust.ts";

export interface ResolvedImage {
  readonly ref: ImageRef;
  readonly manifest: Manifest;
  /** Of the manifest's bytes. */
  readonly digest: Digest;
  readonly bytes: Buffer;
  /** Where the manifest came from, and for blobs that are not there, the places after it. */
  readonly session: Session;
  /** Digests of the indexes that led to it, inner first. */
  readonly indexes: readonly Digest[];
  /** When it is known already. */
  readonly configBytes?: Buffer;
}

export interface KnownImage {
  readonly manifestBytes: Buffer;
  readonly configBytes: Buffer;
}

export interface ResolveOptions {
  /** An image that is here already: the registry is only asked whether it still is the one. */
  readonly known?: ((digest: Digest) => KnownImage | undefined) | undefined;
}

const INDEX_DEPTH_MAX = 3;

/** Mirrors first; a mirror that fails is passed over with a warning. Failure "not-found", "network", "unauthorized", "denied", "bad-input". */
export async function resolveImage(
  context: RemoteContext,
  ref: ImageRef,
  options: ResolveOptions = {},
): Promise<ResolvedImage> {
  return readAnywhere(context, ref, async (session) => {
    const resolved = await resolveAt(context, session, { ref, known: options.known }, [manifestSelector(ref)]);
    await requireTrust(context, { ref, session, digests: [resolved.digest, ...resolved.indexes] });
    return resolved;
  });
}

async function resolveAt(
  context: RemoteContext,
  session: Session,
  { ref, known }: Pick<ResolvedImage, "ref"> & ResolveOptions,
  [selector, ...indexes]: readonly [string, ...Digest[]],
): Promise<ResolvedImage> {
  const name = formatImageRef(ref);
  // The next mirror is nearer than the end of an outage.
  const retries = session.endpoint.isMirror ? 1 : undefined;
  const digestThere = known === undefined ? undefined : await findManifestDigest(session, selector, { name, retries });
  const own = digestThere === undefined ? undefined : known?.(digestThere);
  if (digestThere !== undefined && own !== undefined) {
    const { manifestBytes: bytes, configBytes } = own;
    const manifest = parseManifest(bytes.toString("utf8"));
    return { ref, manifest, digest: digestThere, bytes, session, indexes, configBytes };
  }
  const fetched = await fetchManifest(session, selector, { name, retries });
  if (fetched === undefined) {
    throw new Failure("not-found", `Cannot find image "${name}": "${session.endpoint.host}" does not know it`, {
      hint: "check the name and the tag",
    });
  }
  const { bytes, digest, mediaType } = fetched;
  const text = bytes.toString("utf8");
  const read = <T>(parse: () => T): T => {
    try {
      return parse();
    } catch (error) {
      throw new Failure("bad-input", `Cannot use image "${name}": its manifest ${digest} is malformed`, {
        cause: error,
      });
    }
  };
  if (!isIndexType(mediaType)) {
    return { ref, manifest: read(() => parseManifest(text, mediaType)), digest, bytes, session, indexes };
  }
  if (indexes.length >= INDEX_DEPTH_MAX)
    throw new Failure("bad-input", `Cannot use image "${name}": its indexes are nested too deep`);
  const child = choosePlatform(
    read(() => parseIndex(text, mediaType)),
    context.host.architecture,
  );
  if (child === undefined) {
    throw new Failure(
      "not-found",
      `Cannot use image "${name}": it has no variant for linux/${context.host.architecture}`,
    );
  }
  return resolveAt(context, session, { ref, known }, [child.digest, digest, ...indexes]);
}

/** The first entry for linux on this architecture; an entry without a platform serves when there is no other. */
export function choosePlatform(index: Index, architecture: string): Descriptor | undefined {
  const fits = index.manifests.find(
    ({ platform }) => platform?.os === "linux" && platform.architecture === architecture,
  );
  return (
    fits ?? (index.manifests.length === 1 ? index.manifests.find(({ platform }) => platform === undefined) : undefined)
  );
}

/**
 * planUpgrade(): what a machine that has one image of a repository, and no other, would move to get to another one: the plan of a pull
 * into a store that there need not be. What is in the old image's zstd:chunked layers is known from their tables of contents; of its
 * other layers no file is, so that a machine which has unpacked them may move less.
 */
import type { Digest } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import type { ImageConfig } from "../oci/config.ts";
import type { RemoteContext } from "./context.ts";
import { fetchConfig } from "./pull.ts";
import { fetchFileDigests } from "./range-method.ts";
import { readRepositoryImage } from "./repository-image.ts";
import type { ResolvedImage } from "./resolve.ts";
import type { Session } from "./session.ts";
import { planTransfer, type PullStore, type TransferPlan } from "./transfer-plan.ts";

interface KnownImage {
  readonly resolved: ResolvedImage;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
}

/** Digests of manifests; an index is Failure "unsupported". Otherwise as planTransfer(), and "not-found". */
export async function planUpgrade(
  context: RemoteContext,
  session: Session,
  { from, to }: { readonly from: Digest; readonly to: Digest },
): Promise<TransferPlan> {
  const old = await readImage(session, from);
  const next = await readImage(session, to);
  const files = new Set<Digest>();
  for (const descriptor of old.resolved.manifest.layers) {
    for (const digest of await knownFiles({ context, session, descriptor })) files.add(digest);
  }
  return planTransfer({ context, store: machineWith(old, files), resolved: next.resolved, config: next.config });
}

async function readImage(session: Session, digest: Digest): Promise<KnownImage> {
  const resolved = await readRepositoryImage(session, digest);
  return { resolved, ...(await fetchConfig(resolved)) };
}

/** Tables that are wrong tell of no file, as on a machine. */
async function knownFiles(source: Parameters<typeof fetchFileDigests>[0]): Promise<readonly Digest[]> {
  try {
    return await fetchFileDigests(source);
  } catch (error) {
    const isMalformed = isFailure(error, "digest-mismatch") || isFailure(error, "bad-input");
    if (isMalformed || error instanceof SyntaxError) return [];
    throw error;
  }
}

/** A machine's store that only a plan looks at. */
function machineWith({ resolved, config, configBytes }: KnownImage, files: ReadonlySet<Digest>): PullStore {
  const { digest, manifest, bytes } = resolved;
  const image = { digest, manifest, manifestBytes: bytes, config, configBytes, names: [] };
  const layers = new Set(config.rootfs.diff_ids);
  const nothing = { kind: "inline", bytes: new Uint8Array(0) } as const;
  const never = (): Promise<never> => Promise.reject(new Error("a plan obtains nothing"));
  return {
    // Debian's name for a directory that must not exist: no earlier attempt has left anything there.
    path: "/nonexistent",
    keepsBlobs: false,
    images: () => [image],
    image: (name) => (name === digest ? image : undefined),
    hasLayer: (diffId) => layers.has(diffId),
    hasBlob: () => false,
    contents: () => ({ size: files.size, find: (file) => (files.has(file) ? nothing : undefined) }),
    importLayer: never,
    assembleLayer: never,
    applyDelta: never,
    // Base images have them.
    hasDeltaPrograms: () => true,
  };
}

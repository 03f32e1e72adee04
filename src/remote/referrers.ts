/**
 * listReferrers(), pushReferrer(): artifacts that refer to a manifest (signatures, deltas, bills of materials). A registry without
 * the referrers API is served by its fallback: an index under the tag `sha256-<hex>`, which the clients keep.
 *
 * @see OCI distribution-spec "Listing Referrers", "Referrers Tag Schema", "Pushing Manifests with Subject"
 */
import { type Digest, digestAlgorithm, digestHex, digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import {
  type Descriptor,
  formatManifest,
  type Index,
  type Manifest,
  MANIFEST_BYTES_MAX,
  parseIndex,
} from "../oci/manifest.ts";
import { INDEX } from "../oci/media-types.ts";
import { readText, refusal } from "./answer.ts";
import { fetchManifest } from "./fetch-manifest.ts";
import { nextPage } from "./next-page.ts";
import { isTransient } from "./retry.ts";
import type { Session } from "./session.ts";

const PAGES_MAX = 100;

/** Those of `artifactType`, or all, in the registry's order. Failure "network", "bad-input". */
export async function listReferrers(
  session: Session,
  subject: Digest,
  artifactType?: string,
): Promise<readonly Descriptor[]> {
  const all = (await askReferrers(session, subject, artifactType)) ?? (await readFallback(session, subject))?.manifests;
  return (all ?? []).filter((descriptor) => artifactType === undefined || descriptor.artifactType === artifactType);
}

/** Its blobs must be there. Returns its digest. Failure "network". */
export async function pushReferrer(session: Session, manifest: Manifest & { subject: Descriptor }): Promise<Digest> {
  const text = formatManifest(manifest);
  const digest = digestOf(text);
  const isListed = await putManifest(session, digest, manifest.mediaType, text);
  if (isListed) return digest;
  const { subject, artifactType, annotations, mediaType } = manifest;
  const entry: Descriptor = {
    mediaType,
    digest,
    size: Buffer.byteLength(text),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
  await listInFallback(session, subject.digest, entry);
  return digest;
}

/** For a registry that does not list it with its subject itself. Failure "network". */
export async function listInFallback(session: Session, subject: Digest, entry: Descriptor): Promise<void> {
  const known = (await readFallback(session, subject))?.manifests ?? [];
  const index: Index = {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [...known.filter((other) => other.digest !== entry.digest), entry],
  };
  await putManifest(session, fallbackTag(subject), INDEX, JSON.stringify(index));
}

/** True when the registry says that it lists it with its subject. Failure "network". */
export async function putManifest(
  session: Session,
  selector: string,
  mediaType: string,
  text: string,
): Promise<boolean> {
  const response = await session.request("PUT", `manifests/${selector}`, {
    headers: { "content-type": mediaType },
    body: Buffer.from(text),
  });
  if (response.status !== 201) {
    throw new Failure("network", `Cannot push manifest "${session.name}:${selector}": ${await refusal(response)}`);
  }
  response.discard();
  return response.headers["oci-subject"] !== undefined;
}

/** undefined when the registry lacks the API. */
async function askReferrers(
  session: Session,
  subject: Digest,
  artifactType: string | undefined,
): Promise<readonly Descriptor[] | undefined> {
  const found: Descriptor[] = [];
  const query = artifactType === undefined ? "" : `?artifactType=${encodeURIComponent(artifactType)}`;
  let target = `referrers/${subject}${query}`;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const response = await session.request("GET", target);
    if (response.status >= 500 || isTransient(response.status)) {
      throw new Failure(
        "network",
        `Cannot list what refers to "${session.name}@${subject}": ${await refusal(response)}`,
      );
    }
    if (response.status !== 200) {
      response.discard();
      return undefined;
    }
    found.push(...readIndex(await readText(response, MANIFEST_BYTES_MAX), session, subject).manifests);
    const next = nextPage(response);
    if (next === undefined) return found;
    target = next;
  }
  return found;
}

async function readFallback(session: Session, subject: Digest): Promise<Index | undefined> {
  const fetched = await fetchManifest(session, fallbackTag(subject));
  return fetched && readIndex(fetched.bytes.toString("utf8"), session, subject);
}

function readIndex(text: string, session: Session, subject: Digest): Index {
  try {
    return parseIndex(text);
  } catch (error) {
    throw new Failure("bad-input", `Cannot list what refers to "${session.name}@${subject}": the list is malformed`, {
      cause: error,
    });
  }
}

/** The spec cuts both parts so that the tag stays one. */
function fallbackTag(subject: Digest): string {
  return `${digestAlgorithm(subject)}-${digestHex(subject).slice(0, 64)}`;
}

/**
 * previousImages(): what machines that follow a repository probably run now: the image that the tag named until now, then those of
 * the highest other tags, as versions count (1.10 after 1.9).
 *
 * @see OCI distribution-spec "Listing Tags"
 */
import { type Digest, isDigest } from "../core/digest.ts";
import { bareType, DOCKER_MANIFEST, isManifestType, MANIFEST } from "../oci/media-types.ts";
import { listTags } from "./list-repositories.ts";
import type { Session } from "./session.ts";

export interface PreviousImage {
  /** undefined for one that has lost its tags. */
  readonly tag: string | undefined;
  readonly digest: Digest;
}

/** At most `count`, each digest once. A repository that is not there yet has none. Failure "network", "bad-input". */
export async function previousImages(
  session: Session,
  own: string | undefined,
  count: number,
): Promise<PreviousImage[]> {
  const others = (await listTags(session)).filter((tag) => tag !== own && !/^sha(?:256|512)-/.test(tag));
  others.sort((left, right) => right.localeCompare(left, "en", { numeric: true }));
  const found = new Map<Digest, PreviousImage>();
  for (const tag of own === undefined ? others : [own, ...others]) {
    if (found.size >= count) break;
    const digest = await digestOfTag(session, tag);
    if (digest !== undefined && !found.has(digest)) found.set(digest, { tag, digest });
  }
  return [...found.values()];
}

/** undefined for a tag of an index. */
async function digestOfTag(session: Session, tag: string): Promise<Digest | undefined> {
  const response = await session.request("HEAD", `manifests/${tag}`, {
    headers: { accept: [MANIFEST, DOCKER_MANIFEST].join(", ") },
  });
  response.discard();
  const { "docker-content-digest": digest, "content-type": type = MANIFEST } = response.headers;
  if (response.status !== 200 || digest === undefined || !isDigest(digest)) return undefined;
  return isManifestType(bareType(type)) ? digest : undefined;
}

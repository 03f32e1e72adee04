/** readRepositoryImage(): an image of a repository by its digest, from whoever can be asked, without a look at mirrors or the policy. */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { parseManifest } from "../oci/manifest.ts";
import { isIndexType } from "../oci/media-types.ts";
import { fetchManifest } from "./fetch-manifest.ts";
import type { ResolvedImage } from "./resolve.ts";
import type { Session } from "./session.ts";

/** Failure "not-found", "unsupported" for an index. Throws SyntaxError for what is no manifest. */
export async function readRepositoryImage(session: Session, digest: Digest): Promise<ResolvedImage> {
  const fetched = await fetchManifest(session, digest);
  const name = `${session.name}@${digest}`;
  if (fetched === undefined) throw new Failure("not-found", `Cannot read image "${name}": there is none`);
  if (isIndexType(fetched.mediaType)) {
    throw new Failure("unsupported", `Cannot use "${name}" as an image: it is an index, wanted one of its images`);
  }
  const { host, path } = session.endpoint;
  return {
    ref: { host, path, tag: undefined, digest },
    manifest: parseManifest(fetched.bytes.toString("utf8"), fetched.mediaType),
    digest,
    bytes: fetched.bytes,
    session,
    indexes: [],
  };
}

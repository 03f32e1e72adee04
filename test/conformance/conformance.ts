/**
 * conformance(): runs every case against a registry and tells which passed and which failed. There is no way to skip one.
 *
 * The cases follow OCI distribution-spec 1.1 and its development version (upload cancel, `?tag=`, `digest-algorithm`), with login
 * on. They take any base URL: the same suite runs against berth and, to show that it can fail, against another registry.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
import { mapConcurrent } from "../../src/core/concurrency.ts";
import { access } from "./access.ts";
import { createClient, type Credentials } from "./client.ts";
import { deleting } from "./deleting.ts";
import type { Case } from "./expect.ts";
import { listing } from "./listing.ts";
import { pullingBlobs } from "./pulling-blobs.ts";
import { pushingBlobs } from "./pushing-blobs.ts";
import { pushingManifests } from "./pushing-manifests.ts";
import { referrers } from "./referrers.ts";

export const CASES: readonly Case[] = [
  ...access,
  ...pushingBlobs,
  ...pullingBlobs,
  ...pushingManifests,
  ...listing,
  ...referrers,
  ...deleting,
];

export interface Report {
  readonly passed: readonly string[];
  readonly failed: readonly { readonly name: string; readonly reason: string }[];
}

/** `baseUrl` is `https://HOST:PORT`; `ca` a PEM certificate to trust. Repositories are made below `conformance/`. */
export async function conformance(
  baseUrl: string,
  credentials: Credentials,
  options: { readonly ca?: string } = {},
): Promise<Report> {
  const client = createClient(baseUrl, credentials, options.ca);
  const results = await mapConcurrent(CASES, { limit: 4 }, async (each) => {
    try {
      await each.run(client);
      return undefined;
    } catch (error) {
      return { name: each.name, reason: error instanceof Error ? error.message : String(error) };
    }
  });
  const failed = results.filter((result) => result !== undefined);
  return { passed: CASES.filter((_, index) => results[index] === undefined).map(({ name }) => name), failed };
}

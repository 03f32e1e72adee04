/**
 * Lists: tags of a repository, repositories of the registry, referrers of a manifest. Byte order, `last` exclusive, a Link
 * header when there is more.
 *
 * @see OCI distribution-spec, "Listing Tags", "Listing Referrers"
 */
import type { Digest } from "../core/digest.ts";
import type { ServerResponse } from "../host/host.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { INDEX } from "../oci/media-types.ts";
import { RegistryError } from "./errors.ts";
import { type Exchange, jsonResponse } from "./exchange.ts";
import { listRepositories, type Repository } from "./repository.ts";

/** Bytes of descriptors in one page of referrers: clients accept manifests of 4 MiB. */
const REFERRERS_PAGE_BYTES = 3 * 1024 * 1024;

export async function handleTags(exchange: Exchange, repository: Repository): Promise<ServerResponse> {
  requireGet(exchange);
  const tags = await repository.tags();
  if (tags === undefined) {
    throw new RegistryError(404, "NAME_UNKNOWN", "repository name not known to registry", {
      detail: { name: repository.name },
    });
  }
  const page = cutPage(exchange, tags);
  return jsonResponse(exchange, { name: repository.name, tags: page.entries }, page.headers);
}

export async function handleCatalog(exchange: Exchange): Promise<ServerResponse> {
  requireGet(exchange);
  const names = (await listRepositories(exchange.driver)).filter((name) => exchange.principal.mayList(name));
  const page = cutPage(exchange, names);
  return jsonResponse(exchange, { repositories: page.entries }, page.headers);
}

export async function handleReferrers(
  exchange: Exchange,
  repository: Repository,
  subject: Digest,
): Promise<ServerResponse> {
  requireGet(exchange);
  const artifactType = exchange.url.searchParams.get("artifactType");
  const last = exchange.url.searchParams.get("last") ?? "";
  const all = (await repository.referrers(subject)).filter(
    (entry) => (artifactType === null || entry.artifactType === artifactType) && entry.digest > last,
  );
  const manifests = all.slice(0, countThatFit(all));
  const next = manifests.length < all.length ? manifests.at(-1)?.digest : undefined;
  return jsonResponse(
    exchange,
    { schemaVersion: 2, mediaType: INDEX, manifests },
    {
      "content-type": INDEX,
      ...(artifactType !== null && { "oci-filters-applied": "artifactType" }),
      ...(next !== undefined && linkToNext(exchange, { last: next })),
    },
  );
}

/** How many of the first make a page: at least one, so that a list goes on past an entry larger than a page. */
function countThatFit(entries: readonly Descriptor[]): number {
  let bytes = 0;
  const past = entries.findIndex((entry) => {
    bytes += Buffer.byteLength(JSON.stringify(entry));
    return bytes > REFERRERS_PAGE_BYTES;
  });
  return past < 0 ? entries.length : Math.max(1, past);
}

function cutPage(
  exchange: Exchange,
  all: readonly string[],
): { entries: readonly string[]; headers: Record<string, string> } {
  const { searchParams } = exchange.url;
  const last = searchParams.get("last");
  const rest = last === null ? all : all.filter((entry) => entry > last);
  const n = searchParams.get("n");
  if (n === null) return { entries: rest, headers: {} };
  if (!/^\d{1,9}$/.test(n)) {
    throw new RegistryError(400, "PAGINATION_NUMBER_INVALID", "n is not a whole number >= 0", {
      detail: { n: n.slice(0, 80) },
    });
  }
  const entries = rest.slice(0, Number(n));
  const next = entries.at(-1);
  return {
    entries,
    headers: next !== undefined && entries.length < rest.length ? linkToNext(exchange, { n, last: next }) : {},
  };
}

function linkToNext(exchange: Exchange, changes: Readonly<Record<string, string>>): Record<string, string> {
  const query = new URLSearchParams(exchange.url.searchParams);
  for (const [key, value] of Object.entries(changes)) query.set(key, value);
  return { link: `<${exchange.url.pathname}?${query.toString()}>; rel="next"` };
}

function requireGet(exchange: Exchange): void {
  if (exchange.request.method !== "GET" && exchange.request.method !== "HEAD") {
    throw new RegistryError(405, "UNSUPPORTED", "method is not supported", { headers: { allow: "GET" } });
  }
}

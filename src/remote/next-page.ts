/** nextPage(): where a list goes on, by the Link header of its answer (RFC 8288; distribution-spec, "Listing tags", "Listing referrers"). */
import { givenAddress, type TransportResponse } from "./transport.ts";

/** A whole URL; undefined for the last page. Failure "network" for an address that HTTP cannot go to. */
export function nextPage(response: TransportResponse): string | undefined {
  const next = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(response.headers["link"] ?? "")?.[1];
  return next === undefined ? undefined : givenAddress(next, response.url).href;
}

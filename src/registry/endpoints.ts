/** withEndpoints(): whole paths that are no part of /v2/, each with a handler of its own, in front of the registry's. */
import type { HttpHandler } from "../host/host.ts";

export type Endpoints = Readonly<Record<string, HttpHandler>>;

export function withEndpoints(endpoints: Endpoints, registry: HttpHandler): HttpHandler {
  const byPath = new Map(Object.entries(endpoints));
  return (request, peer) => (byPath.get(pathOf(request.url)) ?? registry)(request, peer);
}

/** Cheaper than a URL, because every request passes here. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  const end = url.indexOf("?", start);
  return start < 0 ? "/" : url.slice(start, end < 0 ? undefined : end);
}

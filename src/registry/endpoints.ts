/** withEndpoints(): whole paths that are no part of the API, each with a handler of its own. */
import type { HttpHandler } from "../host/host.ts";

export type Endpoints = Readonly<Record<string, HttpHandler>>;

/** `api` answers below /v2/, `rest` what is left. Most requests are the API's, so they pass without a look-up. */
export function withEndpoints(
  endpoints: Endpoints,
  { api, rest }: { readonly api: HttpHandler; readonly rest: HttpHandler },
): HttpHandler {
  const byPath = new Map(Object.entries(endpoints));
  return (request, peer) => {
    const { url } = request;
    const start = url.indexOf("/", url.indexOf("//") + 2);
    if (url.startsWith("/v2/", start)) return api(request, peer);
    const end = url.indexOf("?", start);
    const path = start < 0 ? "/" : url.slice(start, end < 0 ? undefined : end);
    return (byPath.get(path) ?? rest)(request, peer);
  };
}

/**
 * behindProxies(): a handler that sees the client's address instead of the reverse proxy's, for whoever counts or logs it.
 *
 * Invariant: each trusted peer vouches for one entry, the last that is left; what the first untrusted one wrote is not read. So a
 * client behind a proxy cannot choose its address, and one that comes directly cannot either. Only the header that the configuration
 * names counts: a proxy passes on what it does not know.
 *
 * @see RFC 7239 (Forwarded)
 */
import { compileNetworks, isAddress } from "../../host/networks.ts";
import type { HttpHandler } from "../../host/host.ts";
import type { ProxiesConfig } from "../config/proxies.ts";

export function behindProxies(proxies: ProxiesConfig | undefined, handler: HttpHandler): HttpHandler {
  if (proxies === undefined) return handler;
  const isTrusted = compileNetworks(proxies.trusted);
  const addressIn = proxies.header === "Forwarded" ? forwardedFor : withoutPort;
  return (request, peer) => {
    if (!isTrusted(peer.address)) return handler(request, peer);
    let { address } = peer;
    const entries = request.headers.get(proxies.header)?.split(",") ?? [];
    for (const entry of entries.reverse()) {
      const before = addressIn(entry.trim());
      if (before === undefined) break;
      address = before;
      if (!isTrusted(address)) break;
    }
    return handler(request, { ...peer, address });
  };
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`; undefined for anything else. */
function withoutPort(node: string): string | undefined {
  if (isAddress(node)) return node;
  const address = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(node);
  const bare = address?.[1] ?? address?.[2] ?? "";
  return isAddress(bare) ? bare : undefined;
}

/** `proto=https;for="[2001:db8::1]:80"`. undefined for `for=unknown` and `for=_name`. */
function forwardedFor(element: string): string | undefined {
  const node = /(?:^|;)\s*for="?([^";]*)"?\s*(?:;|$)/i.exec(element)?.[1];
  return node === undefined ? undefined : withoutPort(node);
}

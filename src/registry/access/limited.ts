/** limited(): an Authenticate that counts the requests of each user, and of each address where nobody is logged in. */
import type { Authenticate } from "../auth.ts";
import { clientOf, type RateLimiter, tooManyRequests } from "./rate-limit.ts";

export function limited(authenticate: Authenticate, limiter: RateLimiter): Authenticate {
  return async (request, peer) => {
    const authentication = await authenticate(request, peer);
    const user = authentication.kind === "principal" ? authentication.principal.user : undefined;
    // A name cannot be an address: the two never share a bucket.
    const client = user === undefined ? `address ${clientOf(peer.address)}` : `user ${user}`;
    const waitMs = limiter.waitMs(client);
    if (waitMs > 0) throw tooManyRequests(waitMs, "too many requests");
    limiter.spend(client);
    return authentication;
  };
}

/** limited(): an Authenticate that counts the requests of each user, and of each address where nobody is logged in. */
import type { Call } from "../answering.ts";
import type { Authenticate } from "../auth.ts";
import { clientOf, type RateLimiter, tooManyRequests } from "./rate-limit.ts";

export function limited(authenticate: Authenticate, limiter: RateLimiter): Authenticate {
  return async (request, peer, how) => {
    const authentication = await authenticate(request, peer, how);
    const user = authentication.kind === "principal" ? authentication.principal.user : undefined;
    count(limiter, user === undefined ? addressKey(peer.address) : `user ${user}`);
    return authentication;
  };
}

/** For the token server: its clients are not logged in yet, and are refused before their password is looked at. */
export function limitedByAddress<T>(limiter: RateLimiter, answer: (call: Call) => Promise<T>): typeof answer {
  return async (call) => {
    count(limiter, addressKey(call.peer.address));
    return answer(call);
  };
}

function count(limiter: RateLimiter, client: string): void {
  const waitMs = limiter.waitMs(client);
  if (waitMs > 0) throw tooManyRequests(waitMs, "too many requests");
  limiter.spend(client);
}

/** A name cannot be an address: the two never share a bucket. */
function addressKey(address: string): string {
  return `address ${clientOf(address)}`;
}

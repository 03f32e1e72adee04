/** openAccess(): the configuration's users, robots, tokens and permissions as one Authenticate, and the token server. */
import { Failure } from "../../core/failure.ts";
import type { Host, ServerRequest, ServerResponse } from "../../host/host.ts";
import type { Call } from "../answering.ts";
import { type Authenticate, openToAll } from "../auth.ts";
import type { RegistryConfig } from "../config.ts";
import { createAuthenticate } from "./authenticate.ts";
import { limited, limitedByAddress } from "./limited.ts";
import { createLogins } from "./logins.ts";
import { createPermissions, type Permissions } from "./permissions.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { createTokenServer } from "./token-server.ts";
import { createTokens, KEY_BYTES } from "./tokens.ts";

export interface Access {
  readonly authenticate: Authenticate;
  /** Answers /token; undefined without tokens. */
  readonly tokenServer: ((call: Call) => Promise<ServerResponse>) | undefined;
}

export type AccessConfig = Pick<RegistryConfig, "auth" | "groups" | "permissions" | "tls" | "limits">;

/** Wrong passwords of one address: so many at once, then one more for each refill. */
const FAILURES = { burst: 20, refillMs: 3000 };

/** `at` makes a path of the configuration absolute. Failure "bad-input" for a group or key that is not usable. */
export function openAccess(
  host: Pick<Host, "files" | "clock" | "random" | "threads">,
  config: AccessConfig,
  at: (path: string) => string,
): Access {
  const { limits } = config;
  const access = isOpen(config) ? { authenticate: openToAll, tokenServer: undefined } : closedAccess(host, config, at);
  if (limits === undefined) return access;
  const limiter = createRateLimiter(host.clock, { burst: limits.burst, refillMs: 1000 / limits.requestsPerSecond });
  const { authenticate, tokenServer } = access;
  return {
    authenticate: limited(authenticate, limiter),
    tokenServer: tokenServer && limitedByAddress(limiter, tokenServer),
  };
}

/** Nothing says who may do what. */
function isOpen({ auth, permissions, tls }: AccessConfig): boolean {
  return auth === undefined && permissions === undefined && tls?.clientCa === undefined;
}

function closedAccess(
  host: Pick<Host, "files" | "clock" | "random" | "threads">,
  config: AccessConfig,
  at: (path: string) => string,
): Access {
  const { auth } = config;
  const permissions = permissionsOf(config);
  const anonymous = config.permissions?.some((rule) => rule.anonymous) ?? false;
  const logins = createLogins({
    host,
    htpasswd: auth?.htpasswd && at(auth.htpasswd.file),
    robots: auth?.robots && at(auth.robots.file),
    failures: createRateLimiter(host.clock, FAILURES),
  });
  const realm = auth?.htpasswd?.realm ?? "berth registry";
  const common = { logins, permissions, anonymous, realm };
  if (auth?.tokens === undefined) {
    return { authenticate: createAuthenticate({ ...common, tokens: undefined }), tokenServer: undefined };
  }
  const { key, lifetime: lifeMs, refreshLifetime: refreshLifeMs, realm: url } = auth.tokens;
  const now = (): number => host.clock.now();
  const tokens = createTokens(tokenKey(host, at(key)), now);
  return {
    authenticate: createAuthenticate({
      ...common,
      tokens: { tokens, realm: url === undefined ? realmOf : () => url },
    }),
    tokenServer: createTokenServer({ logins, permissions, tokens, anonymous, lifeMs, refreshLifeMs, now }),
  };
}

function realmOf(request: ServerRequest): string {
  return new URL("/token", request.url).href;
}

function permissionsOf({ permissions, groups }: AccessConfig): Permissions {
  try {
    return createPermissions(permissions, groups);
  } catch (error) {
    throw new Failure("bad-input", "Cannot use the permissions of the configuration", { cause: error });
  }
}

function tokenKey(host: Pick<Host, "files" | "random">, path: string): Buffer {
  if (!host.files.exists(path)) host.files.replace(path, host.random(KEY_BYTES), { mode: 0o600 });
  const key = host.files.read(path);
  if (key.length < KEY_BYTES) {
    throw new Failure("bad-input", `Cannot use token key "${path}": it has ${key.length} bytes, wanted ${KEY_BYTES}`, {
      hint: "remove the file: a new key is made at the next start, and everybody logs in again",
    });
  }
  return key;
}

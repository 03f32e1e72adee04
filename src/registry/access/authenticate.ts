/**
 * createAuthenticate(): who a request comes from: a token, a password or API key, a client certificate, or nobody. With tokens,
 * clients without credentials are sent to the token server, by name of what they lack.
 */
import type { ServerRequest } from "../../host/host.ts";
import { type Authenticate, type Authentication, parseBasic, type Principal, type Wanted } from "../auth.ts";
import { isUserName } from "../htpasswd.ts";
import type { Logins } from "./logins.ts";
import type { Account, Permissions } from "./permissions.ts";
import { CATALOG_SCOPE, formatScope, holds, holdsCatalog } from "./scope.ts";
import type { TokenClaims, Tokens } from "./tokens.ts";

export interface AuthenticateOptions {
  readonly logins: Logins;
  readonly permissions: Permissions;
  /** True when some rule is for anonymous clients. */
  readonly anonymous: boolean;
  /** undefined: Basic is what clients are asked for. */
  readonly tokens: { readonly tokens: Tokens; readonly realm: (request: ServerRequest) => string } | undefined;
  /** Shown to people who log in. */
  readonly realm: string;
}

export function createAuthenticate(options: AuthenticateOptions): Authenticate {
  const { logins } = options;
  return async (request, peer, how) => {
    const challenge = challenger(options, request);
    const header = request.headers.get("authorization");
    if (header === null) {
      const user = peer.certificateName;
      if (user !== undefined && isUserName(user)) return known(options, { name: user, credential: "certificate" });
      return anonymous(options, challenge, false);
    }
    const basic = parseBasic(header);
    // podman and skopeo send an empty user when they have none.
    if (basic?.user === "" && basic.password === "") return anonymous(options, challenge, true);
    const refuse = (message: string, user?: string): Authentication => ({
      kind: "challenge",
      challenge: challenge({ kind: "base" }, "invalid_token"),
      message,
      ...(user !== undefined && { user }),
    });
    if (basic !== undefined) {
      const guesser = how?.resumed === true ? undefined : peer.address;
      const account = await logins.check(basic.user, basic.password, guesser);
      return account === undefined ? refuse("invalid username or password", basic.user) : known(options, account);
    }
    const bearer = /^bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1];
    const claims = bearer === undefined ? undefined : options.tokens?.tokens.verify(bearer, "access");
    if (claims === undefined) return refuse("invalid or expired token");
    return ofToken(options, claims, challenge) ?? refuse("the token's account is gone", claims.account);
  };
}

/** Clients give it back; this token server has one registry. */
const SERVICE = "berth";

type Challenger = (wanted: Wanted, error?: "invalid_token" | "insufficient_scope") => string;

function challenger({ tokens, realm }: AuthenticateOptions, request: ServerRequest): Challenger {
  if (tokens === undefined) return () => `Basic realm="${quotable(realm)}"`;
  return (wanted, error) => {
    const scope = scopeOf(wanted);
    const parts = [
      `realm="${quotable(tokens.realm(request))}"`,
      `service="${SERVICE}"`,
      ...(scope === undefined ? [] : [`scope="${scope}"`]),
      ...(error === undefined ? [] : [`error="${error}"`]),
    ];
    return `Bearer ${parts.join(",")}`;
  };
}

/** Who pushes also asks what is there already. */
function scopeOf(wanted: Wanted): string | undefined {
  if (wanted.kind === "base") return undefined;
  if (wanted.kind === "catalog") return CATALOG_SCOPE;
  const { action, repository } = wanted;
  return formatScope({
    type: "repository",
    name: repository,
    actions: action === "push" ? ["pull", "push"] : [action],
  });
}

/** Who is known gains nothing by asking again: no challenge. */
function known({ permissions }: AuthenticateOptions, account: Account): Authentication {
  const may = permissions(account);
  return principal({
    user: account.name,
    may,
    mayList: (repository) => may("pull", repository),
    mayEnter: () => true,
    challenge: () => undefined,
  });
}

/** `presented`: the client has said that it is nobody, so /v2/ need not ask it. */
function anonymous(options: AuthenticateOptions, challenge: Challenger, presented: boolean): Authentication {
  const may = options.permissions(undefined);
  return principal({
    user: undefined,
    may,
    mayList: (repository) => may("pull", repository),
    mayEnter: (endpoint) => options.anonymous && (presented || endpoint === "catalog"),
    challenge: (wanted) => challenge(wanted),
  });
}

/** A token gives no more than its account has now. undefined when the account or its credential is gone. */
function ofToken(options: AuthenticateOptions, claims: TokenClaims, challenge: Challenger): Authentication | undefined {
  const account = claims.account === undefined ? undefined : options.logins.find(claims.account);
  if (claims.account !== undefined && (account === undefined || !options.tokens?.tokens.isOf(claims, account))) {
    return undefined;
  }
  const may = options.permissions(account);
  return principal({
    user: claims.account,
    may: (action, repository) => holds(claims.scopes, action, repository) && may(action, repository),
    mayList: (repository) => holdsCatalog(claims.scopes) && may("pull", repository),
    mayEnter: (endpoint) => endpoint === "base" || holdsCatalog(claims.scopes),
    challenge: (wanted) => {
      const helps = account === undefined || wanted.kind !== "repository" || may(wanted.action, wanted.repository);
      return helps ? challenge(wanted, "insufficient_scope") : undefined;
    },
  });
}

function principal(value: Principal): Authentication {
  return { kind: "principal", principal: value };
}

function quotable(text: string): string {
  return text.replace(/["\\\p{Cc}]/gu, "");
}

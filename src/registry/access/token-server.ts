/**
 * createTokenServer(): `/token`. GET with a password gives a token for the scopes that the account may have; POST does the same
 * in OAuth2's words, and with `refresh_token`: one that a login got with `offline_token`, or an API key as it is. A scope that is
 * not granted is left out without a word: what the account may not do, and what does not exist, look the same.
 *
 * @see distribution "Token Authentication Specification", "OAuth2 Token Authentication"
 */
import type { ServerResponse } from "../../host/host.ts";
import type { Call } from "../answering.ts";
import { parseBasic } from "../auth.ts";
import { RegistryError } from "../errors.ts";
import type { Logins } from "./logins.ts";
import type { Account, Permissions } from "./permissions.ts";
import { looksLikeKey } from "./robots.ts";
import { formatScope, grantScopes, parseScopes } from "./scope.ts";
import type { Tokens } from "./tokens.ts";

export interface TokenServerOptions {
  readonly logins: Logins;
  readonly permissions: Permissions;
  readonly tokens: Tokens;
  /** Some rule is for anonymous clients: they get tokens too. */
  readonly anonymous: boolean;
  readonly lifeMs: number;
  readonly refreshLifeMs: number;
  readonly now: () => number;
}

const FORM_BYTES_MAX = 64 * 1024;

export function createTokenServer(options: TokenServerOptions): (call: Call) => Promise<ServerResponse> {
  return async (call) => {
    switch (call.request.method) {
      case "GET":
        return tokenByGet(options, call);
      case "POST":
        return tokenByPost(options, call);
      default:
        throw new RegistryError(405, "UNSUPPORTED", "method is not supported", { headers: { allow: "GET, POST" } });
    }
  };
}

async function tokenByGet(options: TokenServerOptions, call: Call): Promise<ServerResponse> {
  const { request, url } = call;
  const header = request.headers.get("authorization");
  const basic = parseBasic(header);
  const isNobody = header === null || (basic?.user === "" && basic.password === "");
  const account = isNobody ? undefined : await logIn(options, call, basic?.user ?? "", basic?.password ?? "");
  if (account === undefined && !options.anonymous) throw refused("authentication required");
  const offline = url.searchParams.get("offline_token") === "true";
  const { token, expires_in, refresh_token } = answerFor(options, account, url.searchParams.getAll("scope"), offline);
  // No more than clients read: a machine that asks for an update pays for each byte.
  return json({ token, expires_in, refresh_token });
}

async function tokenByPost(options: TokenServerOptions, call: Call): Promise<ServerResponse> {
  const form = new URLSearchParams(await readForm(call));
  const scopes = form.getAll("scope");
  switch (form.get("grant_type") ?? "") {
    case "password": {
      const account = await logIn(options, call, form.get("username") ?? "", form.get("password") ?? "");
      const { token, ...rest } = answerFor(options, account, scopes, form.get("access_type") === "offline");
      return json({ access_token: token, ...rest });
    }
    case "refresh_token": {
      const refreshToken = form.get("refresh_token") ?? "";
      const account = refresh(options, refreshToken);
      if (account === undefined) throw refused("the refresh token is invalid, expired or revoked");
      call.note.user = account.name;
      const { token, ...rest } = answerFor(options, account, scopes, false);
      return json({ access_token: token, ...rest, refresh_token: refreshToken });
    }
    default:
      throw new RegistryError(400, "UNSUPPORTED", "grant_type is not password or refresh_token");
  }
}

async function logIn(options: TokenServerOptions, call: Call, user: string, password: string): Promise<Account> {
  call.note.user = user;
  const account = await options.logins.check(user, password, call.peer.address);
  if (account === undefined) throw refused("invalid username or password");
  call.note.user = account.name;
  return account;
}

function refresh({ logins, tokens }: TokenServerOptions, refreshToken: string): Account | undefined {
  if (looksLikeKey(refreshToken)) return logins.byKey(refreshToken);
  const claims = tokens.verify(refreshToken, "refresh");
  const account = claims?.account === undefined ? undefined : logins.find(claims.account);
  return claims !== undefined && account !== undefined && tokens.isOf(claims, account) ? account : undefined;
}

/** @see distribution docs/spec/auth/token.md and oauth.md, whose names these are. */
interface TokenAnswer {
  readonly token: string;
  readonly scope: string;
  readonly expires_in: number;
  readonly issued_at: string;
  readonly refresh_token?: string;
}

function answerFor(
  { tokens, permissions, lifeMs, refreshLifeMs, now }: TokenServerOptions,
  account: Account | undefined,
  scopes: readonly string[],
  offline: boolean,
): TokenAnswer {
  const granted = grantScopes(parseScopes(scopes), permissions(account));
  return {
    token: tokens.issue("access", account, granted, lifeMs),
    scope: granted.map(formatScope).join(" "),
    expires_in: Math.ceil(lifeMs / 1000),
    issued_at: new Date(now()).toISOString(),
    ...(offline && account !== undefined && { refresh_token: tokens.issue("refresh", account, [], refreshLifeMs) }),
  };
}

async function readForm({ request }: Call): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > FORM_BYTES_MAX) {
      throw new RegistryError(413, "SIZE_INVALID", `the form is larger than ${FORM_BYTES_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function refused(message: string): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", message, {
    headers: { "www-authenticate": 'Basic realm="token server"' },
  });
}

function json(value: unknown): ServerResponse {
  const body = Buffer.from(JSON.stringify(value));
  const headers = {
    "content-type": "application/json",
    "content-length": String(body.length),
    "cache-control": "no-store",
  };
  return { status: 200, headers: new Map(Object.entries(headers)), body };
}

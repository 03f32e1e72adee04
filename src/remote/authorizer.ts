/**
 * createAuthorizer(): the Authorization header for a registry, as its challenge wants it: Basic, or Bearer with tokens of its
 * token server, each kept until shortly before it ends.
 *
 * @see distribution "Token Authentication", "OAuth2"
 */
import { Failure } from "../core/failure.ts";
import { asCount, asString, optional, parseJsonObject } from "../core/json.ts";
import { readText, refusal } from "./answer.ts";
import type { Credentials } from "./auth-file.ts";
import type { Challenge } from "./challenge.ts";
import { type CredentialSearch, describeSearch } from "./credentials.ts";
import type { Transport } from "./transport.ts";

/** The header for requests of these scopes; undefined to ask without. */
export type Authorizer = (scopes: readonly string[]) => Promise<string | undefined>;

export interface RegistryFacts {
  readonly insecure: boolean;
  readonly host: string;
  /** Monotonic milliseconds. */
  readonly elapsed: () => number;
}

export function createAuthorizer(
  transport: Transport,
  challenges: readonly Challenge[],
  search: CredentialSearch,
  registry: RegistryFacts,
): Authorizer {
  const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
  if (bearer !== undefined) return tokenAuthorizer(transport, bearer, search, registry);
  const { credentials } = search;
  if (challenges.length === 0) return async () => undefined;
  if (!challenges.some((challenge) => challenge.scheme === "basic")) {
    const schemes = challenges.map((challenge) => challenge.scheme).join(", ");
    throw new Failure(
      "unsupported",
      `Cannot log in to "${registry.host}": it wants ${schemes}, wanted basic or bearer`,
    );
  }
  if (credentials?.kind !== "password") return async () => undefined;
  return async () => basicHeader(credentials);
}

/** The registry said 401: what was looked for where, and what to do. */
export function unauthorized(name: string, search: CredentialSearch): Failure {
  const has = search.credentials !== undefined;
  const host = name.split("/")[0];
  return new Failure(
    "unauthorized",
    `Cannot use "${name}": the registry ${has ? "refused the user name or password" : "wants a login"}; ${describeSearch(search)}`,
    { hint: `log in with: berth login ${host}` },
  );
}

function tokenAuthorizer(
  transport: Transport,
  bearer: Challenge,
  search: CredentialSearch,
  registry: RegistryFacts,
): Authorizer {
  const tokens = new Map<string, Promise<{ value: string; untilMs: number }>>();
  return async (scopes) => {
    const key = scopes.join(" ");
    const known = await tokens.get(key);
    if (known !== undefined && known.untilMs > registry.elapsed()) return known.value;
    const header = fetchToken(transport, bearer, scopes, search, registry).then(({ token, lifeMs }) => ({
      value: `Bearer ${token}`,
      untilMs: registry.elapsed() + lifeMs,
    }));
    tokens.set(key, header);
    header.catch(() => tokens.delete(key));
    return (await header).value;
  };
}

async function fetchToken(
  transport: Transport,
  bearer: Challenge,
  scopes: readonly string[],
  search: CredentialSearch,
  registry: RegistryFacts,
): Promise<{ token: string; lifeMs: number }> {
  const realm = bearer.parameters["realm"] ?? "";
  if (!URL.canParse(realm) || !/^https?:/.test(realm) || (realm.startsWith("http:") && !registry.insecure)) {
    throw new Failure(
      "network",
      `Cannot log in to "${registry.host}": its token server is ${JSON.stringify(realm)}, wanted an https URL`,
    );
  }
  const query = new URLSearchParams();
  const service = bearer.parameters["service"];
  if (service !== undefined) query.set("service", service);
  const { credentials } = search;
  const request =
    credentials?.kind === "identity-token"
      ? refreshRequest(realm, query, scopes, credentials.token)
      : tokenRequest(realm, query, scopes, credentials);
  const response = await transport({ ...request, insecure: registry.insecure });
  if (response.status === 401 || response.status === 403) {
    response.discard();
    throw unauthorized(registry.host, search);
  }
  if (response.status !== 200)
    throw new Failure("network", `Cannot get a token from "${realm}": ${await refusal(response)}`);
  try {
    const object = parseJsonObject(await readText(response, 1024 * 1024), "token");
    const token =
      optional(object["token"], "token.token", asString) ?? asString(object["access_token"], "token.access_token");
    const lifeSec = optional(object["expires_in"], "token.expires_in", asCount) ?? 60;
    return { token, lifeMs: Math.max(10, lifeSec - 10) * 1000 };
  } catch (error) {
    throw new Failure("bad-input", `Cannot use the token of "${realm}": its answer is malformed`, { cause: error });
  }
}

interface TokenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

function tokenRequest(
  realm: string,
  query: URLSearchParams,
  scopes: readonly string[],
  credentials?: Credentials,
): TokenRequest {
  const url = new URL(realm);
  for (const [key, value] of query) url.searchParams.set(key, value);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (credentials?.kind !== "password") return { method: "GET", url: url.href };
  url.searchParams.set("account", credentials.username);
  return { method: "GET", url: url.href, headers: { authorization: basicHeader(credentials) } };
}

function refreshRequest(realm: string, query: URLSearchParams, scopes: readonly string[], token: string): TokenRequest {
  query.set("grant_type", "refresh_token");
  query.set("client_id", "berth");
  query.set("refresh_token", token);
  query.set("scope", scopes.join(" "));
  return {
    method: "POST",
    url: realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: Buffer.from(query.toString()),
  };
}

function basicHeader(credentials: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
}

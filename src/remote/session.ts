/**
 * Session: one repository of one registry, reached and logged in to. It finds out the scheme and the way of authentication with
 * one request to /v2/, and sends credentials to this registry's origin and its token server only.
 *
 * @see OCI distribution-spec "Determining Support"; distribution "Token Authentication", "OAuth2"
 */
import { collectBytes } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { HttpResponse } from "../host/host.ts";
import { asCount, asString, optional, parseJsonObject } from "../oci/json.ts";
import type { Credentials } from "./auth-file.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { RemoteContext } from "./context.ts";
import { type CredentialSearch, describeSearch, findCredentials } from "./credentials.ts";
import { type Endpoint, readRegistriesConf } from "./registries-conf.ts";
import { createTransport, type Transport, type TransportResponse } from "./transport.ts";

export interface Session {
  readonly endpoint: Endpoint;
  /** `host/path`, for messages. */
  readonly name: string;
  /**
   * `target` is a path below the repository (`manifests/v1`) or an address that the registry gave. Failure "unauthorized" for
   * 401 and "denied" for 403; other statuses are the caller's.
   */
  request(method: string, target: string, options?: SessionRequest): Promise<TransportResponse>;
}

export interface SessionRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** A repository to be read besides, for a mount. */
  readonly alsoRead?: string;
  readonly retries?: number;
}

export interface SessionOptions {
  readonly access: "pull" | "pull,push";
  /** Instead of what the files say: for `berth login`. */
  readonly credentials?: Credentials;
}

interface RegistryFacts {
  readonly insecure: boolean;
  readonly host: string;
  /** Monotonic milliseconds. */
  readonly elapsed: () => number;
}

type Authorizer = (scopes: readonly string[]) => Promise<string | undefined>;

/** Failure "network" when the registry does not answer, "unauthorized" when it wants a login that we do not have. */
export async function openSession(context: RemoteContext, endpoint: Endpoint, options: SessionOptions): Promise<Session> {
  const transport = createTransport(context);
  const insecure = context.tlsVerify === undefined ? endpoint.insecure : !context.tlsVerify;
  const { base, challenges } = await ping(transport, endpoint.host, insecure);
  const name = `${endpoint.host}/${endpoint.path}`;
  const search = await searchFor(context, endpoint, options.credentials);
  const registry = { insecure, host: endpoint.host, elapsed: () => context.host.clock.elapsed() };
  const authorize = createAuthorizer(transport, challenges, search, registry);
  const origin = new URL(base).origin;
  const own = endpoint.path === "" ? [] : [`repository:${endpoint.path}:${options.access}`];

  return {
    endpoint,
    name,
    async request(method, target, request = {}) {
      const url = new URL(target, `${base}${endpoint.path === "" ? "" : `${endpoint.path}/`}`);
      const scopes = [...own, ...(request.alsoRead === undefined ? [] : [`repository:${request.alsoRead}:pull`])];
      const authorization = url.origin === origin ? await authorize(scopes) : undefined;
      const response = await transport({
        method,
        url: url.href,
        headers: { ...request.headers, ...(authorization !== undefined && { authorization }) },
        ...(request.body !== undefined && { body: request.body }),
        ...(request.retries !== undefined && { retries: request.retries }),
        insecure,
      });
      if (response.status === 401) {
        response.discard();
        throw unauthorized(name, search);
      }
      if (response.status === 403) {
        throw new Failure("denied", `Cannot ${options.access === "pull" ? "read" : "write"} "${name}": ${await refusal(response)}`, {
          hint: describeSearch(search),
        });
      }
      return response;
    },
  };
}

/** The registry's own words for an error: code and message of the first entry, or the status. Reads the body. */
export async function refusal(response: HttpResponse): Promise<string> {
  const status = `the registry answered ${response.status}`;
  try {
    const text = await readText(response, 64 * 1024);
    const errors = parseJsonObject(text, "errors")["errors"];
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const { code, message } = Object(first);
    const words = [code, message].filter((word) => typeof word === "string" && word !== "").join(": ");
    return words === "" ? status : `${status} (${words.slice(0, 300)})`;
  } catch (error) {
    if (error instanceof SyntaxError || isFailure(error)) return status;
    throw error;
  }
}

/** The body as UTF-8. Failure "bad-input" past `limit` bytes. */
export async function readText(response: HttpResponse, limit: number): Promise<string> {
  return (await readBody(response, limit)).toString("utf8");
}

export async function readBody(response: HttpResponse, limit: number): Promise<Buffer> {
  const limited = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    let seen = 0;
    for await (const chunk of response.body) {
      seen += chunk.length;
      if (seen > limit) throw new Failure("bad-input", `Cannot read the registry's answer: it is longer than ${limit} bytes`);
      yield chunk;
    }
  };
  return collectBytes(limited());
}

/** Base URL (`https://host/v2/`) and how the registry wants to be asked. */
async function ping(
  transport: Transport,
  host: string,
  insecure: boolean,
): Promise<{ base: string; challenges: readonly Challenge[] }> {
  const address = host === "docker.io" ? "registry-1.docker.io" : host;
  const tryScheme = async (scheme: string, retries: number): Promise<TransportResponse> =>
    transport({ method: "GET", url: `${scheme}://${address}/v2/`, insecure, retries });
  let scheme = "https";
  let response: TransportResponse;
  try {
    response = await tryScheme("https", insecure ? 0 : 1);
  } catch (error) {
    if (!isFailure(error, "network")) throw error;
    if (!insecure) throw withTlsHint(error, host);
    scheme = "http";
    response = await tryScheme("http", 1);
  }
  response.discard();
  const base = `${scheme}://${address}/v2/`;
  if (response.status === 200) return { base, challenges: [] };
  const challenges = parseChallenges(response.headers["www-authenticate"] ?? "");
  if (response.status === 401 && challenges.length > 0) return { base, challenges };
  throw new Failure("network", `Cannot use registry "${host}": it answered ${response.status} to /v2/, wanted 200 or 401`, {
    hint: "the address may not be that of an OCI registry",
  });
}

function withTlsHint(error: Failure, host: string): Failure {
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const text = cause instanceof Error ? cause.message : "";
  const isPlain = /EPROTO|wrong.version|packet.length/i.test(`${code} ${text}`);
  const isCertificate = /CERT|SIGNATURE|ALTNAME|ISSUER/.test(code);
  if (!isPlain && !isCertificate) return error;
  const hint = isPlain
    ? "the registry seems to speak plain HTTP: pass --tls-verify=false, or set insecure = true for it in registries.conf"
    : `put its authority's certificate into /etc/containers/certs.d/${host}/ca.crt, or pass --tls-verify=false`;
  // The cause's text is advice for users of Node.
  return new Failure("network", error.message, { hint });
}

async function searchFor(context: RemoteContext, endpoint: Endpoint, given?: Credentials): Promise<CredentialSearch> {
  if (given !== undefined) return { credentials: given, steps: [] };
  const helpers = readRegistriesConf(context.host).credentialHelpers;
  const repository = endpoint.path === "" ? endpoint.host : `${endpoint.host}/${endpoint.path}`;
  return findCredentials(context.host, repository, { authFile: context.authFile, helpers: helpers ?? undefined, signal: context.signal });
}

function unauthorized(name: string, search: CredentialSearch): Failure {
  const has = search.credentials !== undefined;
  const host = name.split("/")[0];
  return new Failure(
    "unauthorized",
    `Cannot use "${name}": the registry ${has ? "refused the user name or password" : "wants a login"}; ${describeSearch(search)}`,
    { hint: `log in with: berth login ${host}` },
  );
}

function createAuthorizer(
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
    throw new Failure("unsupported", `Cannot log in to "${registry.host}": it wants ${schemes}, wanted basic or bearer`);
  }
  if (credentials?.kind !== "password") return async () => undefined;
  return async () => basicHeader(credentials);
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
    throw new Failure("network", `Cannot log in to "${registry.host}": its token server is ${JSON.stringify(realm)}, wanted an https URL`);
  }
  const query = new URLSearchParams();
  const service = bearer.parameters["service"];
  if (service !== undefined) query.set("service", service);
  const { credentials } = search;
  const request = credentials?.kind === "identity-token"
    ? refreshRequest(realm, query, scopes, credentials.token)
    : tokenRequest(realm, query, scopes, credentials);
  const response = await transport({ ...request, insecure: registry.insecure });
  if (response.status === 401 || response.status === 403) {
    response.discard();
    throw unauthorized(registry.host, search);
  }
  if (response.status !== 200) throw new Failure("network", `Cannot get a token from "${realm}": ${await refusal(response)}`);
  try {
    const object = parseJsonObject(await readText(response, 1024 * 1024), "token");
    const token = optional(object["token"], "token.token", asString) ?? asString(object["access_token"], "token.access_token");
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

function tokenRequest(realm: string, query: URLSearchParams, scopes: readonly string[], credentials?: Credentials): TokenRequest {
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

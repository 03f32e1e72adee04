/**
 * Session: one repository of one registry, reached and logged in to. It finds out the scheme and the way of authentication with
 * one request to /v2/, and sends credentials to this registry's origin and its token server only.
 *
 * @see OCI distribution-spec "Determining Support"; distribution "Token Authentication", "OAuth2"
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { ImageRef } from "../oci/reference.ts";
import { refusal } from "./answer.ts";
import type { Credentials } from "./auth-file.ts";
import { type Authorizer, createAuthorizer, unauthorized } from "./authorizer.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { RemoteContext } from "./context.ts";
import { type CredentialSearch, describeSearch, findCredentials } from "./credentials.ts";
import { createMeter, type Moved } from "./meter.ts";
import { type Endpoint, pushEndpoint, readRegistriesConf } from "./registries-conf.ts";
import { createTransport, givenAddress, registryAddress, type Transport, type TransportResponse } from "./transport.ts";

export interface Session {
  readonly endpoint: Endpoint;
  /** `host/path`, for messages. */
  readonly name: string;
  /**
   * `target` is a path below the repository (`manifests/v1`) or an address that the registry gave. Failure "unauthorized" for
   * 401 and "denied" for 403; other statuses are the caller's.
   */
  request(method: string, target: string, options?: SessionRequest): Promise<TransportResponse>;
  /** What it has taken so far, logging in included. */
  moved(): Moved;
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

/** Failure "network" when the registry does not answer, "unauthorized" when it wants a login that we do not have. */
export async function openSession(
  context: RemoteContext,
  endpoint: Endpoint,
  options: SessionOptions,
): Promise<Session> {
  const { transport, moved } = createMeter(createTransport(context, endpoint.host));
  const insecure = context.tlsVerify === undefined ? endpoint.insecure : !context.tlsVerify;
  const { base, challenges } = await ping(transport, endpoint.host, insecure);
  const name = `${endpoint.host}/${endpoint.path}`;
  const search = await searchFor(context, endpoint, options.credentials);
  const registry = { insecure, host: endpoint.host, elapsed: () => context.host.clock.elapsed() };
  const authorizerFor = (asked: readonly Challenge[]): Authorizer =>
    createAuthorizer(transport, asked, search, registry);
  let authorize = authorizerFor(challenges);
  const origin = new URL(base).origin;
  const ownScopes = (url: URL): readonly string[] => {
    if (endpoint.path !== "") return [`repository:${endpoint.path}:${options.access}`];
    return url.pathname.endsWith("/_catalog") ? ["registry:catalog:*"] : [];
  };

  return {
    endpoint,
    name,
    moved,
    async request(method, target, request = {}) {
      const url = givenAddress(target, `${base}${endpoint.path === "" ? "" : `${endpoint.path}/`}`);
      const scopes = [
        ...ownScopes(url),
        ...(request.alsoRead === undefined ? [] : [`repository:${request.alsoRead}:pull`]),
      ];
      const send = (authorization: string | undefined): Promise<TransportResponse> =>
        transport({
          method,
          url: url.href,
          headers: { ...request.headers, ...(authorization !== undefined && { authorization }) },
          ...(request.body !== undefined && { body: request.body }),
          ...(request.retries !== undefined && { retries: request.retries }),
          insecure,
        });
      const isOwn = url.origin === origin;
      const used = authorize;
      const authorization = isOwn ? await used(scopes) : undefined;
      let response = await send(authorization);
      const asked = parseChallenges(response.headers["www-authenticate"] ?? "");
      if (response.status === 401 && isOwn && asked.length > 0) {
        // A registry that lets everybody read asks late, and one may forget its tokens. What was refused is not sent again.
        response.discard();
        if (authorize === used) authorize = authorizerFor(asked);
        const renewed = await authorize(scopes);
        if (renewed !== undefined && renewed !== authorization) response = await send(renewed);
      }
      if (response.status === 401) {
        response.discard();
        throw unauthorized(name, search);
      }
      if (response.status === 403) {
        throw new Failure(
          "denied",
          `Cannot ${options.access === "pull" ? "read" : "write"} "${name}": ${await refusal(response)}`,
          {
            hint: describeSearch(search),
          },
        );
      }
      return response;
    },
  };
}

/** A session that may write to the repository of `ref`. Failures as of openSession(), and "denied" for one that registries.conf blocks. */
export async function openPushSession(context: RemoteContext, ref: ImageRef): Promise<Session> {
  return openSession(context, pushEndpoint(readRegistriesConf(context.host), ref), { access: "pull,push" });
}

/** Base URL (`https://host/v2/`) and how the registry wants to be asked. */
async function ping(
  transport: Transport,
  host: string,
  insecure: boolean,
): Promise<{ base: string; challenges: readonly Challenge[] }> {
  const address = registryAddress(host);
  const tryScheme = async (scheme: string, retries: number): Promise<TransportResponse> =>
    transport({ method: "GET", url: `${scheme}://${address}/v2/`, insecure, retries });
  let scheme = "https";
  let response: TransportResponse;
  try {
    response = await tryScheme("https", insecure ? 0 : 1);
  } catch (error) {
    if (!isFailure(error, "network")) throw error;
    // Who sends an alert speaks TLS.
    if (!insecure || /alert/i.test(causeOf(error))) throw withTlsHint(error, host);
    scheme = "http";
    response = await tryScheme("http", 1);
  }
  response.discard();
  const base = `${scheme}://${address}/v2/`;
  if (response.status === 200) return { base, challenges: [] };
  const challenges = parseChallenges(response.headers["www-authenticate"] ?? "");
  if (response.status === 401 && challenges.length > 0) return { base, challenges };
  throw new Failure(
    "network",
    `Cannot use registry "${host}": it answered ${response.status} to /v2/, wanted 200 or 401`,
    {
      hint: "the address may not be that of an OCI registry",
    },
  );
}

/** What helps, by Node's code and text of the error. */
const TLS_HINTS: readonly (readonly [error: RegExp, hint: (host: string) => string])[] = [
  [
    /wrong.version|packet.length/i,
    () =>
      "the registry seems to speak plain HTTP: pass --tls-verify=false, or set insecure = true for it in registries.conf",
  ],
  [
    /ALERT_CERTIFICATE_REQUIRED/,
    (host) => `put yours and its key into /etc/containers/certs.d/${host}/, as me.cert and me.key`,
  ],
  [/ALTNAME/, () => "use a name that the certificate is for, or give the registry a certificate for this one"],
  [
    /CERT_HAS_EXPIRED|CERT_NOT_YET/,
    () => "the registry needs a new certificate, unless the clock of this machine is wrong",
  ],
  [
    /CERT|SIGNATURE|ISSUER/,
    (host) => `put its authority's certificate into /etc/containers/certs.d/${host}/ca.crt, or pass --tls-verify=false`,
  ],
];

function withTlsHint(error: Failure, host: string): Failure {
  const text = causeOf(error);
  const hint = TLS_HINTS.find(([wanted]) => wanted.test(text))?.[1](host);
  // The cause's text is advice for users of Node.
  return hint === undefined ? error : new Failure("network", error.message, { hint });
}

function causeOf({ cause }: Failure): string {
  if (!(cause instanceof Error)) return "";
  return `${"code" in cause ? String(cause.code) : ""} ${cause.message}`;
}

async function searchFor(context: RemoteContext, endpoint: Endpoint, given?: Credentials): Promise<CredentialSearch> {
  if (given !== undefined) return { credentials: given, steps: [] };
  const helpers = readRegistriesConf(context.host).credentialHelpers;
  const repository = endpoint.path === "" ? endpoint.host : `${endpoint.host}/${endpoint.path}`;
  return findCredentials(context.host, repository, {
    authFile: context.authFile,
    helpers: helpers ?? undefined,
    signal: context.signal,
  });
}

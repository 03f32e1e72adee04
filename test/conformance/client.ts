/**
 * The conformance suite's own client: plain requests against a registry's base URL, with Basic credentials or a bearer token
 * fetched as the challenge says. It shares no code with berth's client, so that a mistake in one cannot hide in the other.
 *
 * @see OCI distribution-spec; docker's token specification for bearer challenges
 */
import assert from "node:assert/strict";
import * as http from "node:http";
import * as https from "node:https";

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface Answer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Method and path, for messages. */
  readonly what: string;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Several pieces are streamed without a length. */
  readonly body?: Buffer | readonly Buffer[];
  readonly anonymous?: boolean;
}

export interface Client {
  /** `target` is a path, or a Location as the registry gave it. */
  call(method: string, target: string, options?: CallOptions): Promise<Answer>;
  /** A repository that no other case uses. */
  repository(): string;
}

export function createClient(baseUrl: string, credentials: Credentials, ca: string | undefined): Client {
  const secure = baseUrl.startsWith("https:");
  const agent = secure ? new https.Agent({ keepAlive: true, ca }) : new http.Agent({ keepAlive: true });
  const basic = `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64")}`;
  const tokens = new Map<string, string>();
  const run = Date.now().toString(36);
  let repositories = 0;

  const exchange = (method: string, url: URL, headers: Record<string, string>, body: CallOptions["body"]) =>
    new Promise<Answer>((resolve, reject) => {
      const pieces = body === undefined || Buffer.isBuffer(body) ? body : [...body];
      const length = Buffer.isBuffer(pieces) ? pieces.length : pieces === undefined ? 0 : undefined;
      const bodyless = method === "GET" || method === "HEAD" || method === "DELETE";
      const sized = length === undefined || bodyless ? headers : { "content-length": String(length), ...headers };
      const request = (secure ? https : http).request(url, { method, agent, headers: sized });
      request.on("error", reject);
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(Object.entries(response.headers).map(([key, value]) => [key, String(value)])),
            body: Buffer.concat(chunks),
            what: `${method} ${url.pathname}${url.search}`,
          }),
        );
      });
      if (Array.isArray(pieces)) for (const piece of pieces) request.write(piece);
      request.end(Buffer.isBuffer(pieces) ? pieces : undefined);
    });

  const tokenFor = async (challenge: string): Promise<string> => {
    const known = tokens.get(challenge);
    if (known !== undefined) return known;
    const parameters = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1], m[2] ?? ""]));
    const url = new URL(parameters["realm"] ?? "");
    for (const key of ["service", "scope"])
      if (parameters[key] !== undefined) url.searchParams.set(key, parameters[key]);
    const answer = await exchange("GET", url, { authorization: basic }, undefined);
    assert.equal(answer.status, 200, `token of ${challenge}`);
    const body = jsonOf(answer);
    const token = `Bearer ${String(body["token"] ?? body["access_token"])}`;
    tokens.set(challenge, token);
    return token;
  };

  return {
    repository() {
      repositories += 1;
      return `conformance/${run}/case-${repositories}`;
    },
    async call(method, target, { headers = {}, body, anonymous = false } = {}) {
      const url = new URL(target, baseUrl);
      const authorization = anonymous ? {} : { authorization: basic };
      const answer = await exchange(method, url, { ...authorization, ...headers }, body);
      const challenge = answer.headers["www-authenticate"] ?? "";
      if (anonymous || answer.status !== 401 || !/^bearer /i.test(challenge)) return answer;
      return exchange(method, url, { authorization: await tokenFor(challenge), ...headers }, body);
    },
  };
}

export function jsonOf(answer: Answer): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(answer.body.toString());
  assert.ok(typeof value === "object" && value !== null && !Array.isArray(value), `${answer.what}: no JSON object`);
  return value as Readonly<Record<string, unknown>>;
}

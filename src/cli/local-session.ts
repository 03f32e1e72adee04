/** localSession(): a repository of a registry in this process as a client's session, without a socket and without a login. */
import { streamOf } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { HttpHandler } from "../host/host.ts";
import { createMeter } from "../remote/meter.ts";
import type { Session } from "../remote/session.ts";
import type { TransportRequest } from "../remote/transport.ts";

const HOST = "localhost";

/** `access: "pull"` only reads: Failure "unsupported" for the rest. */
export function localSession(registry: HttpHandler, repository: string, access: "pull" | "pull,push"): Session {
  const base = `http://${HOST}/v2/${repository}/`;
  const { signal } = new AbortController();
  const { transport, moved } = createMeter(async ({ method, url, headers, body }) => {
    if (access === "pull" && method !== "GET" && method !== "HEAD")
      throw new Failure("unsupported", `Cannot ask the registry: ${method} changes it`);
    const sent = new Headers(headers);
    if (body instanceof Uint8Array) sent.set("content-length", String(body.length));
    const request = { method, url, headers: sent, body: openBody(body), signal };
    const answer = await registry(request, { address: "" });
    return {
      url,
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: asStream(answer.body),
      discard() {},
    };
  });
  return {
    endpoint: { host: HOST, path: repository, insecure: true, isMirror: false },
    name: `${HOST}/${repository}`,
    moved,
    request: (method, target, { headers = {}, body } = {}) =>
      transport({
        method,
        url: new URL(target, base).href,
        headers,
        ...(body !== undefined && { body }),
        insecure: true,
      }),
  };
}

function openBody(body: TransportRequest["body"]): AsyncIterable<Uint8Array> | null {
  if (body === undefined) return null;
  return body instanceof Uint8Array ? asStream(body) : body();
}

function asStream(body: Uint8Array | AsyncIterable<Uint8Array> | null): AsyncIterable<Uint8Array> {
  return body === null ? streamOf() : body instanceof Uint8Array ? streamOf(body) : body;
}

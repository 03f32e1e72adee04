/** answering(): every request ends as a response and a log entry. An error of ours is a 500 that says nothing; the log has it whole. */
import { Failure, isFailure } from "../core/failure.ts";
import { memoized } from "../core/memoized.ts";
import type { Host, HttpHandler, Peer, ServerRequest, ServerResponse } from "../host/host.ts";
import { errorResponse, RegistryError } from "./errors.ts";
import { isTag, type Route } from "./route.ts";

/** One request, as the log shows it. */
export interface LogEntry {
  readonly address: string;
  /** Who asked, or claimed to; undefined for nobody. */
  readonly user: string | undefined;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** undefined for what is no endpoint of the specification. */
  readonly route: Route | undefined;
  readonly status: number;
  /** Docker-Content-Digest of the answer. */
  readonly digest: string | undefined;
  /** From the request to the head of the response. */
  readonly tookMs: number;
  /** A refusal that the status does not tell: to who may not see it, a page is not there. */
  readonly refused?: { readonly action: "login" | "read"; readonly repository?: string } | undefined;
  /** An error of ours, with its stack. */
  readonly error?: unknown;
}

/** The tags that a request for a manifest names besides its path: a push may set some more. */
export function moreTags({ method, target }: Pick<LogEntry, "method" | "target">): readonly string[] {
  if (method !== "PUT" || !target.includes("?")) return [];
  return new URLSearchParams(target.slice(target.indexOf("?"))).getAll("tag").filter(isTag);
}

export interface Call {
  readonly request: ServerRequest;
  readonly peer: Peer;
  readonly url: URL;
  /** What the log should know, filled in on the way. */
  readonly note: { user?: string | undefined; route?: Route };
}

export interface AnsweringOptions {
  readonly host: Pick<Host, "clock">;
  readonly log?: ((entry: LogEntry) => void) | undefined;
}

export function answering(
  { host, log }: AnsweringOptions,
  answer: (call: Call) => Promise<ServerResponse> | ServerResponse,
): HttpHandler {
  const parseUrl = memoized((url) => new URL(url));
  return async (request, peer) => {
    const started = host.clock.elapsed();
    const call: Call = { request, peer, url: parseUrl(request.url), note: {} };
    let error: unknown;
    let response: ServerResponse;
    try {
      response = await answer(call);
    } catch (thrown) {
      const known = asRegistryError(thrown, call.note.route);
      // A refusal that is meant, such as that of an upstream which is down, has its own line.
      if (known.status >= 500 && known !== thrown) error = thrown;
      response = errorResponse(known, request.method === "HEAD");
    }
    // Clients of old look for it there, and nowhere else.
    if (call.note.route?.kind === "base") response.headers.set("docker-distribution-api-version", "registry/2.0");
    log?.({
      address: peer.address,
      user: call.note.user,
      method: request.method,
      target: call.url.pathname + call.url.search,
      route: call.note.route,
      status: response.status,
      digest: response.headers.get("docker-content-digest") ?? undefined,
      tookMs: host.clock.elapsed() - started,
      error,
    });
    return response;
  };
}

function asRegistryError(error: unknown, route: Route | undefined): RegistryError {
  if (error instanceof RegistryError) return error;
  if (isFailure(error, "busy")) {
    if (route?.kind === "upload" || route?.kind === "uploads")
      return new RegistryError(409, "BLOB_UPLOAD_INVALID", "another request goes on with this upload");
    const headers = { "retry-after": "10" };
    return new RegistryError(503, "UNKNOWN", "another request works on the same; try again later", { headers });
  }
  if (isFailure(error, "not-found")) return new RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "content is gone");
  if (isFailure(error, "network")) return new RegistryError(503, "UNKNOWN", "the registry cannot reach its storage");
  if (isFailure(error, "no-space")) return new RegistryError(507, "UNKNOWN", "the registry has no space left");
  return new RegistryError(
    500,
    "UNKNOWN",
    error instanceof Failure ? "the registry cannot read its storage" : "internal error",
  );
}

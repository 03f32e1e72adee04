/**
 * readAnywhere(): an image from the mirrors of registries.conf in order, then from the registry itself. The first that has the manifest
 * serves the pull; a blob that it lacks or does not give comes from the next. Where a blob comes from makes no difference to what is
 * trusted: its digest is checked.
 *
 * @see containers-registries.conf(5), "Remapping and mirroring registries"
 */
import { Failure, isFailure } from "../core/failure.ts";
import { formatImageRef, type ImageRef } from "../oci/reference.ts";
import type { RemoteContext } from "./context.ts";
import { type Endpoint, pullEndpoints, readRegistriesConf } from "./registries-conf.ts";
import { openSession, type Session } from "./session.ts";
import type { TransportResponse } from "./transport.ts";

/** What `read` answers at the first place where it does not fail. A mirror that fails is passed over with a warning. Failures as of `read`. */
export async function readAnywhere<T>(
  context: RemoteContext,
  ref: ImageRef,
  read: (session: Session) => Promise<T>,
): Promise<T> {
  const endpoints = pullEndpoints(readRegistriesConf(context.host), ref);
  for (const [i, endpoint] of endpoints.entries()) {
    try {
      const session = await openSession(context, endpoint, { access: "pull" });
      return await read(withNext(context, session, endpoints.slice(i + 1)));
    } catch (error) {
      if (!endpoint.isMirror || !isFailure(error) || error.code === "aborted") throw error;
      context.progress.warn(`Mirror ${nameOf(endpoint)} is passed over: ${error.message}`);
    }
  }
  throw new Failure("not-found", `Cannot find image "${formatImageRef(ref)}": no registry to ask`);
}

/** `session`, with the places to ask next for what it does not give of a blob. */
function withNext(context: RemoteContext, session: Session, [endpoint, ...others]: readonly Endpoint[]): Session {
  if (endpoint === undefined) return session;
  let next: Promise<Session> | undefined;
  const openNext = async (): Promise<Session> =>
    withNext(context, await openSession(context, endpoint, { access: "pull" }), others);
  /** Blobs that have to be asked for there. */
  const elsewhere = new Set<string>();
  return {
    endpoint: session.endpoint,
    name: session.name,
    moved: () => session.moved(),
    async request(method, target, options = {}) {
      if (method !== "GET" || !target.startsWith("blobs/")) return session.request(method, target, options);
      if (!elsewhere.has(target)) {
        const found = await tryRequest(session, target, { ...options, retries: Math.min(options.retries ?? 1, 1) });
        if (found.kind === "answer") return found.response;
        context.progress.warn(`Mirror ${session.name} is passed over for ${target}: ${found.reason}`);
        elsewhere.add(target);
      }
      next ??= openNext();
      next.catch(() => (next = undefined));
      return (await next).request(method, target, options);
    },
  };
}

type Tried =
  | { readonly kind: "answer"; readonly response: TransportResponse }
  | { readonly kind: "failed"; readonly reason: string };

async function tryRequest(
  session: Session,
  target: string,
  options: Parameters<Session["request"]>[2],
): Promise<Tried> {
  try {
    const response = await session.request("GET", target, options);
    if (response.status < 400 || response.status === 416) return { kind: "answer", response };
    response.discard();
    return { kind: "failed", reason: `it answered ${response.status}` };
  } catch (error) {
    if (!isFailure(error) || error.code === "aborted") throw error;
    return { kind: "failed", reason: error.message };
  }
}

function nameOf({ host, path }: Endpoint): string {
  return `${host}/${path}`;
}

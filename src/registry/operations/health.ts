/** /healthz: the process lives. /readyz: it takes requests and its storage answers. /metrics: what it counted. */
import type { HttpHandler, ServerResponse } from "../../host/host.ts";
import type { Authenticate } from "../auth.ts";
import type { Driver } from "../driver.ts";
import { errorResponse, RegistryError } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

export const healthz: HttpHandler = async () => plain(200, "ok\n");

/** Says why not only in the log: the endpoint is open to everybody. */
export function readyz(driver: Pick<Driver, "hasRecord">, isDraining: () => boolean): HttpHandler {
  return async () => {
    if (isDraining()) return plain(503, "stopping\n");
    try {
      await driver.hasRecord("repositories");
      return plain(200, "ready\n");
    } catch {
      return plain(503, "storage does not answer\n");
    }
  };
}

/** `protection`: who may read them; undefined: everybody. */
export function metricsEndpoint(
  metrics: Metrics,
  protection?: { readonly authenticate: Authenticate; readonly users: readonly string[] },
): HttpHandler {
  return async (request, peer) => {
    try {
      if (protection !== undefined) await requireUser(protection, request, peer);
    } catch (error) {
      if (error instanceof RegistryError) return errorResponse(error, request.method === "HEAD");
      throw error;
    }
    return plain(200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
  };
}

async function requireUser(
  { authenticate, users }: { readonly authenticate: Authenticate; readonly users: readonly string[] },
  ...[request, peer]: Parameters<HttpHandler>
): Promise<void> {
  const authentication = await authenticate(request, peer);
  const user = authentication.kind === "principal" ? authentication.principal.user : undefined;
  if (user !== undefined && users.includes(user)) return;
  if (user !== undefined) throw new RegistryError(403, "DENIED", "these metrics are for others");
  throw new RegistryError(401, "UNAUTHORIZED", "authentication required", {
    headers: { "www-authenticate": 'Basic realm="metrics"' },
  });
}

function plain(status: number, text: string, type = "text/plain; charset=utf-8"): ServerResponse {
  const body = Buffer.from(text);
  const headers = { "content-type": type, "content-length": String(body.length), "cache-control": "no-store" };
  return { status, headers: new Map(Object.entries(headers)), body };
}

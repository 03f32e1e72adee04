/** planUpgradeCost(): the client's plan of an upgrade, asked of a registry in this process, for the registry's page. */
import { Failure } from "../core/failure.ts";
import type { HttpHandler } from "../host/host.ts";
import type { PlanUpgrade } from "../registry/web/upgrade-cost.ts";
import type { RemoteContext } from "../remote/context.ts";
import { createMeter } from "../remote/meter.ts";
import { planUpgrade } from "../remote/plan-upgrade.ts";
import type { Session } from "../remote/session.ts";
import { describeTransfer, layerBytes } from "../remote/transfer-plan.ts";

export function planUpgradeCost(context: RemoteContext): PlanUpgrade {
  return async (registry, { repository, from, to }) => {
    const plan = await planUpgrade(context, sessionWith(registry, repository), { from, to });
    return { bytes: layerBytes(plan), ways: describeTransfer(plan) };
  };
}

const HOST = "localhost";

/** Without a socket and without a login; it only reads. */
function sessionWith(registry: HttpHandler, repository: string): Session {
  const base = `http://${HOST}/v2/${repository}/`;
  const { signal } = new AbortController();
  const { transport, moved } = createMeter(async ({ method, url, headers }) => {
    if (method !== "GET") throw new Failure("unsupported", `Cannot ask the registry: ${method} changes it`);
    const request = { method, url, headers: new Headers(headers), body: null, signal };
    const { status, headers: answered, body } = await registry(request, { address: "" });
    return { url, status, headers: Object.fromEntries(answered), body: asStream(body), discard() {} };
  });
  return {
    endpoint: { host: HOST, path: repository, insecure: true, isMirror: false },
    name: `${HOST}/${repository}`,
    moved,
    request: (method, target, { headers = {} } = {}) =>
      transport({ method, url: new URL(target, base).href, headers, insecure: true }),
  };
}

async function* asStream(
  body: Uint8Array | AsyncIterable<Uint8Array> | null,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (body instanceof Uint8Array) yield body;
  else if (body !== null) yield* body;
}

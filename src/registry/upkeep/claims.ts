/**
 * createClaims(): who of all the processes on one storage may do something now. A storage has no locks, but what one puts the others
 * see: each puts its claim first and then looks at the others', and goes on once it sees none. Of two that exclude each other at
 * least one sees the other, so that never both go on.
 *
 * A claim of a process that died ends by its age. The storage's clock tells it, never ours.
 */
import { createHash } from "node:crypto";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import type { Driver } from "../driver.ts";

/** Any number of "shared" claims of one thing hold at once, or one that is "exclusive". */
export type ClaimKind = "shared" | "exclusive";

export interface Claim {
  /** Keeps a long claim from ending by its age; to be called at least every few seconds. */
  renew(): Promise<void>;
}

export interface Claims {
  /** Failure "busy" when others hold `thing` all of `waitMs`. */
  hold<T>(thing: string, options: ClaimOptions, work: (claim: Claim) => Promise<T>): Promise<T>;
}

export interface ClaimOptions {
  readonly kind: ClaimKind;
  readonly waitMs: number;
}

/** Older claims are of the dead. A request's work takes a fraction of it. */
const LIFE_MS = 120_000;
const RENEW_MS = 20_000;
const PAUSE_MS = 50;

export function createClaims(host: Pick<Host, "clock" | "random">, driver: Driver): Claims {
  /** Holders of `thing` that exclude `own`. */
  const others = async (thing: string, own: string, kind: ClaimKind): Promise<string[]> => {
    const found = (await driver.listRecords("claims")).filter(
      (name) => name !== own && name.startsWith(`${thing}-`) && (kind === "exclusive" || name.includes("-exclusive-")),
    );
    const now = (await driver.recordTime(`claims/${own}`)) ?? 0;
    const living: string[] = [];
    for (const name of found) {
      const time = await driver.recordTime(`claims/${name}`);
      if (time !== undefined && now - time < LIFE_MS) living.push(name);
      else await driver.deleteRecord(`claims/${name}`, { durable: false });
    }
    return living;
  };
  return {
    async hold(thing, { kind, waitMs }, work) {
      const name = createHash("sha256").update(thing).digest("hex").slice(0, 32);
      const own = `${name}-${kind}-${Buffer.from(host.random(16)).toString("hex")}`;
      const put = (): Promise<void> => driver.putRecord(`claims/${own}`, "", { durable: false });
      const until = host.clock.elapsed() + waitMs;
      try {
        for (;;) {
          await put();
          const found = await others(name, own, kind);
          if (found.length === 0) break;
          // The first by name waits in its place; were all to step back, they might do so for ever.
          if (found.some((other) => other < own)) await driver.deleteRecord(`claims/${own}`, { durable: false });
          if (host.clock.elapsed() >= until)
            throw new Failure("busy", `Cannot claim ${thing}: another process holds it`);
          const [fraction = 0] = host.random(1);
          await host.clock.sleep(PAUSE_MS * (1 + fraction / 64));
        }
        let renewed = host.clock.elapsed();
        return await work({
          async renew() {
            if (host.clock.elapsed() - renewed < RENEW_MS) return;
            await put();
            renewed = host.clock.elapsed();
          },
        });
      } finally {
        await driver.deleteRecord(`claims/${own}`, { durable: false });
      }
    },
  };
}

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxiesConfig } from "../config/proxies.ts";
import { behindProxies } from "./behind-proxies.ts";

const PROXY = "10.0.0.2";
const trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"];

/** The address that a handler behind the proxies sees. */
async function addressOf(
  headers: Record<string, string>,
  { peer = PROXY, header = "X-Forwarded-For" }: { peer?: string; header?: ProxiesConfig["header"] } = {},
): Promise<string> {
  let seen = "";
  const handler = behindProxies({ trusted, header }, async (_request, { address }) => {
    seen = address;
    return { status: 200, headers: new Headers(), body: null };
  });
  await handler(new Request("http://registry.test/v2/", { headers }), { address: peer });
  return seen;
}

for (const [value, wanted, why] of [
  ["192.0.2.1", "192.0.2.1", "the client"],
  ["192.0.2.1:8080", "192.0.2.1", "with its port"],
  ["2001:db8::1", "2001:db8::1", "an IPv6 client"],
  ["[2001:db8::1]:8080", "2001:db8::1", "with its port"],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.1", "as a dual-stack proxy writes it"],
  ["203.0.113.9, 192.0.2.1", "192.0.2.1", "what the client itself claims does not count"],
  ["203.0.113.9, 192.0.2.1, 10.9.9.9", "192.0.2.1", "through two proxies"],
  ["10.1.1.1, 10.9.9.9", "10.1.1.1", "a client in the proxies' own network"],
  ["192.0.2.1, nonsense", PROXY, "nothing left of what cannot be read"],
  ["192.0.2.1, ", PROXY, "an empty entry"],
  ["", PROXY, "nothing"],
] as const)
  test(`X-Forwarded-For "${value}" means ${wanted}: ${why}`, async () =>
    assert.equal(await addressOf({ "x-forwarded-for": value }), wanted));

for (const [value, wanted] of [
  ["for=192.0.2.1", "192.0.2.1"],
  ['by=10.0.0.2;For="[2001:db8::1]:4711";proto=https', "2001:db8::1"],
  ["for=203.0.113.9, for=192.0.2.1;proto=http, for=10.9.9.9", "192.0.2.1"],
  ["for=192.0.2.1, for=unknown", PROXY],
  ["for=_hidden", PROXY],
  ["proto=https", PROXY],
] as const)
  test(`Forwarded ${value} means ${wanted}`, async () =>
    assert.equal(await addressOf({ forwarded: value }, { header: "Forwarded" }), wanted));

test("an address is taken from nobody else, and from no other header", async () => {
  assert.equal(await addressOf({ "x-forwarded-for": "192.0.2.1" }, { peer: "203.0.113.9" }), "203.0.113.9");
  assert.equal(await addressOf({ "x-forwarded-for": "192.0.2.1" }, { peer: `::ffff:${PROXY}` }), "192.0.2.1");
  assert.equal(await addressOf({ forwarded: "for=192.0.2.1" }), PROXY);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { clientOf, createRateLimiter, tooManyRequests } from "./rate-limit.ts";

test("a rate limiter gives a burst, then one for each refill, and forgets nobody's debt", () => {
  let now = 1000;
  const limiter = createRateLimiter({ elapsed: () => now }, { burst: 3, refillMs: 100 });
  for (let i = 0; i < 3; i += 1) {
    assert.equal(limiter.waitMs("a"), 0);
    limiter.spend("a");
  }
  assert.equal(limiter.waitMs("a"), 100);
  assert.equal(limiter.waitMs("b"), 0);
  for (let i = 0; i < 50; i += 1) limiter.spend("a");
  assert.equal(limiter.waitMs("a"), 100, "spending without waiting digs no deeper than the bucket");
  now += 99;
  assert.equal(limiter.waitMs("a"), 1);
  now += 1;
  assert.equal(limiter.waitMs("a"), 0);
  limiter.spend("a");
  assert.equal(limiter.waitMs("a"), 100);
  now += 1000;
  for (let i = 0; i < 3; i += 1) {
    assert.equal(limiter.waitMs("a"), 0, "full again");
    limiter.spend("a");
  }
  assert.equal(limiter.waitMs("a"), 100);
});

test("a flood of keys is bounded and leaves the newest", () => {
  const limiter = createRateLimiter({ elapsed: () => 0 }, { burst: 1, refillMs: 1000 });
  for (let i = 0; i < 250_000; i += 1) limiter.spend(String(i));
  assert.equal(limiter.waitMs("249999"), 1000);
  assert.equal(limiter.waitMs("0"), 0);
});

test("429 names the wait in whole seconds", () => {
  for (const [waitMs, header] of [
    [1, "1"],
    [1000, "1"],
    [1001, "2"],
  ] as const) {
    const error = tooManyRequests(waitMs, "slow down");
    assert.equal(error.status, 429);
    assert.equal(error.code, "TOOMANYREQUESTS");
    assert.equal(error.options.headers?.["retry-after"], header);
  }
});

for (const [address, client] of [
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
  ["2001:db8::6", "2001:db8:0:0::/64"],
  ["2001:db8:1:2:3::", "2001:db8:1:2::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["", ""],
] as const) {
  test(`clientOf() of ${JSON.stringify(address)} is ${client}`, () => assert.equal(clientOf(address), client));
}

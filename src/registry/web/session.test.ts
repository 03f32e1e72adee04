import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestRegistry } from "../testing.ts";
import { createSessions } from "./session.ts";

const HOUR_MS = 3600 * 1000;

test("a session is found by its cookie, by another replica too, until it runs out; a changed one is nobody's", async () => {
  using registry = openTestRegistry();
  let nowMs = 0;
  const host = { ...registry.host, clock: { ...registry.host.clock, now: () => nowMs } };
  const sessions = createSessions(host, registry.driver);
  assert.equal(await sessions.find("berth-session=AAAA"), undefined, "nobody has signed in yet");
  const setCookie = await sessions.begin("Basic abc", { secure: true });
  assert.match(setCookie, /; HttpOnly; SameSite=Strict; Secure$/);
  assert.doesNotMatch(await sessions.begin("Basic abc", { secure: false }), /Secure$/);
  const cookie = setCookie.split(";")[0] ?? "";
  const replica = createSessions(host, registry.driver);
  assert.equal(await replica.find(`other=1; ${cookie}; more=2`), "Basic abc");
  const changed = cookie.replace(/.$/, (last) => (last === "A" ? "Q" : "A"));
  for (const bad of [null, "", "berth-session=", "berth-session=AAAA", `x${cookie}`, changed]) {
    assert.equal(await sessions.find(bad), undefined, String(bad));
  }
  nowMs = 12 * HOUR_MS - 1;
  assert.equal(await sessions.find(cookie), "Basic abc");
  nowMs = 12 * HOUR_MS;
  assert.equal(await sessions.find(cookie), undefined);
  assert.match(sessions.end(), /Max-Age=0/);
});

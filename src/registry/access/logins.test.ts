import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../../host/fake.ts";
import { RegistryError } from "../errors.ts";
import { createLogins } from "./logins.ts";
import { createRateLimiter } from "./rate-limit.ts";

const entryOf = (name: string): string => `$2b$04$${name.padEnd(53, ".")}`;

function open(users: readonly string[]) {
  const host = createFakeHost();
  const write = (names: readonly string[]): void =>
    host.files.write("/users", names.map((name) => `anna:${entryOf(name)}\n`).join(""));
  write(users);
  const checks: string[] = [];
  const held: (() => void)[] = [];
  let holds = false;
  const logins = createLogins({
    host,
    htpasswd: "/users",
    robots: undefined,
    failures: createRateLimiter(host.clock, { burst: 3, refillMs: 1000 }),
    async check(password, entry) {
      checks.push(password);
      if (holds) await new Promise<void>((resolve) => void held.push(resolve));
      return entry === entryOf(password);
    },
  });
  const logIn = async (password: string, address = "192.0.2.1"): Promise<boolean> =>
    (await logins.check("anna", password, address)) !== undefined;
  return {
    host,
    checks,
    logIn,
    write,
    hold: () => void (holds = true),
    release: () => held.forEach((go) => go()),
  };
}

test("a password that was right is not checked again for a minute; a wrong one is; a changed entry is", async () => {
  const { host, checks, logIn, write } = open(["one"]);
  for (let i = 0; i < 5; i += 1) assert.equal(await logIn("one"), true);
  assert.deepEqual(checks.splice(0), ["one"]);
  host.clock.advance(60_001);
  assert.equal(await logIn("one"), true);
  for (let i = 0; i < 2; i += 1) assert.equal(await logIn("two"), false);
  assert.deepEqual(checks.splice(0), ["one", "two", "two"]);
  host.clock.advance(5000);
  write(["two"]);
  assert.deepEqual([await logIn("one"), await logIn("two")], [false, true]);
});

test("too many wrong passwords of an address are refused unseen; others are not", async () => {
  const { checks, logIn, host } = open(["one"]);
  for (let i = 0; i < 3; i += 1) await logIn(`wrong ${i}`);
  await assert.rejects(logIn("one"), RegistryError);
  assert.equal(checks.length, 3);
  assert.equal(await logIn("one", "192.0.2.2"), true);
  host.clock.advance(1000);
  assert.equal(await logIn("one"), true);
});

test("so many passwords wait at once and no more; the same one waits once", async () => {
  const { checks, logIn, hold, release } = open(["one"]);
  hold();
  const waiting = Array.from({ length: 32 }, (_, i) => logIn(`wrong ${i}`, `192.0.2.${i}`));
  waiting.push(logIn("wrong 0", "192.0.2.99"));
  await assert.rejects(logIn("one", "192.0.2.100"), RegistryError);
  release();
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set([false]));
  assert.equal(checks.length, 32);
});

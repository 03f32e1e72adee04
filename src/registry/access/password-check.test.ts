import assert from "node:assert/strict";
import { test } from "node:test";
import { hash } from "bcryptjs";
import { createFakeHost } from "../../host/fake.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { createPasswordCheck } from "./password-check.ts";

const entry = await hash("secret", 10);

for (const [name, host] of [
  ["on a thread", createLinuxHost()],
  ["without threads", createFakeHost()],
] as const) {
  test(`createPasswordCheck() tells right from wrong ${name}, many at once`, async () => {
    const check = createPasswordCheck(host);
    const words = ["secret", "wrong", "", "Secret", "secret"];
    const answers = await Promise.all(words.map((word) => check(word, entry)));
    assert.deepEqual(answers, [true, false, false, false, true]);
    assert.equal(await check("secret", "no hash"), false);
  });
}

test("who waits for a password keeps nobody else waiting", async () => {
  const check = createPasswordCheck(createLinuxHost());
  const checking = Promise.all(Array.from({ length: 4 }, (_, i) => check(`wrong ${i}`, entry)));
  let isDone = false;
  void checking.then(() => void (isDone = true));
  let turns = 0;
  for (; !isDone; turns += 1) await new Promise((resolve) => void setImmediate(resolve));
  assert.ok(turns > 100, `the event loop turned ${turns} times; on this thread it would be a dozen`);
});

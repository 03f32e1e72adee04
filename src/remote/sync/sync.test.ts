import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { planSync } from "./sync.ts";
import type { SyncPlace } from "./sync-place.ts";

test("planSync() takes more referrers of an image than a call takes arguments", async () => {
  const image = { repository: "team/os", tag: "1", digest: digestOf("image") };
  const referrers = Array.from({ length: 130_000 }, (_, i) => digestOf(String(i)));
  const unused = (): never => assert.fail("a plan only lists");
  const place = (name: string, listed: Pick<SyncPlace, "list" | "referrers">): SyncPlace => ({
    name,
    ...listed,
    source: unused,
    sink: unused,
    removeTag: unused,
    finish: unused,
    [Symbol.asyncDispose]: unused,
  });
  const from = place("from", {
    list: async () => [image],
    referrers: async (_, subject) => (subject === image.digest ? referrers : []),
  });
  const to = place("to", { list: async () => [], referrers: async () => [] });
  const { steps } = await planSync(from, to, { delete: false });
  assert.deepEqual(steps, [{ kind: "copy", image, referrers }]);
});

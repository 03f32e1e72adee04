import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../../host/fake.ts";
import { onlyReads, openTestRegistry } from "../../registry/testing.ts";
import { addFixtureImage, base } from "../../store/testing.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { runWords } from "../testing.ts";
import { pushCommand } from "./push.ts";

test("push --compression-format to a registry that may only be read ends before anything is compressed", async () => {
  using registry = openTestRegistry({ authenticate: onlyReads });
  const host = createFakeHost({ network: { respond: (request) => registry.handler(request) } });
  using store = openWorkstationStore(host);
  await addFixtureImage(store, [base], "registry.test/os:1");
  const typed = ["push", "--compression-format", "zstd", "registry.test/os:1"];
  const { status, err } = await runWords(host, [pushCommand], typed);
  assert.match(err, /^error: Cannot write "registry.test\/os": /);
  assert.equal(status, 1);
  assert.equal(store.images().length, 1);
});

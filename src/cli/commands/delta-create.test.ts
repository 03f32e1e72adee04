import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../../host/fake.ts";
import { runWords } from "../testing.ts";
import { deltaCreateCommand } from "./delta-create.ts";

for (const [words, pattern, status] of [
  ["", /wanted --push, -o FILE or --dry-run/, 2],
  ["-o /folder", /Cannot write a delta to "\/folder": it is a folder, wanted a file/, 1],
  ["-o /none/x", /Cannot write a delta to "\/none\/x": there is no folder "\/none\/"/, 1],
  ["-o /folder/y/x", /there is no folder "\/folder\/y\/"/, 1],
  ["-o /folder/x", /Cannot find image "localhost\/a:1"/, 1],
  ["-o /new", /Cannot find image "localhost\/a:1"/, 1],
] as const) {
  test(`delta create ${words} is one clear error, before images are compared`, async () => {
    const host = createFakeHost({ files: { "/folder/x": "old" } });
    const typed = ["delta", "create", "localhost/a:1", "localhost/b:1", ...words.split(" ").filter(Boolean)];
    const result = await runWords(host, [deltaCreateCommand], typed);
    assert.match(result.err, pattern);
    assert.equal(result.status, status);
    assert.equal(host.files.readText("/folder/x"), "old");
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { silent } from "../../core/progress.ts";
import { createFakeHost } from "../../host/fake.ts";
import { mountMemory, openWorkspace } from "./workspace.ts";

const GIB = 1024 ** 3;
const meminfo = (bytes: number): Record<string, string> => ({
  "/proc/meminfo": `MemTotal: 9 kB\nMemAvailable:  ${bytes / 1024} kB\n`,
});

test("openWorkspace() takes itself away at the end", async (context) => {
  const host = createFakeHost({ test: context, files: { "/w/build-bookworm-1/x": "theirs" } });
  {
    using workspace = await openWorkspace({ host, progress: silent }, { work: "/w", suite: "trixie" });

    host.files.write(`${workspace.path}/file`, "x");
    assert.ok(workspace.path.startsWith("/w/build-trixie-"));
  }
  assert.deepEqual(host.files.list("/w"), ["build-bookworm-1", "trixie.lock"]);
});

test("openWorkspace() waits for another build of the suite", async (context) => {
  const host = createFakeHost({ test: context, files: { "/w": { directory: true } } });
  const other = host.files.lock("/w/trixie.lock", "exclusive", { wait: false });
  const said: string[] = [];
  const opening = openWorkspace(
    { host, progress: { ...silent, say: (text) => said.push(text) } },
    { work: "/w", suite: "trixie" },
  );
  await Promise.resolve();
  other.release();
  (await opening)[Symbol.dispose]();
  assert.equal(said.length, 1);
});

test("mountMemory() uses memory only where there is plenty", (context) => {
  const host = createFakeHost({ test: context, files: { ...meminfo(16 * GIB), "/t": { directory: true } } });
  const mount = mountMemory(host, "/t", 3 * GIB);
  assert.deepEqual(
    host.mounts
      .list()
      .map(({ type, target }) => [type, target])
      .filter(([, target]) => target === "/t"),
    [["tmpfs", "/t"]],
  );
  mount?.unmount();
  assert.equal(
    mountMemory(createFakeHost({ files: { ...meminfo(2 * GIB), "/t": { directory: true } } }), "/t", 3 * GIB),
    undefined,
  );
});

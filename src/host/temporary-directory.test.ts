import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { createLinuxHost } from "./linux.ts";
import { SCRATCH } from "./scratch.ts";

const { files } = createLinuxHost();
const LINUX = new URL("./linux.ts", import.meta.url).href;

test("temporaryDirectory() removes what a killed process left, and nothing that somebody holds or that is not one", () => {
  using folder = files.temporaryDirectory(`${SCRATCH}/berth-temporary-test-`);
  const prefix = `${folder.path}/work-`;
  using held = files.temporaryDirectory(prefix);
  const script = `
    const { createLinuxHost } = await import(${JSON.stringify(LINUX)});
    const { files } = createLinuxHost();
    files.write(files.temporaryDirectory(${JSON.stringify(prefix)}).path + "/half", "written");
    process.kill(process.pid, "SIGKILL");`;
  const killed = spawnSync(process.execPath, ["--input-type=module", "--eval", script]);
  assert.equal(killed.signal, "SIGKILL", String(killed.stderr));
  files.write(`${prefix}0123456789ab`, "a file");
  files.makeDirectory(`${prefix}mine`);
  const left = files.list(folder.path);
  assert.equal(left.length, 4);
  {
    using next = files.temporaryDirectory(prefix);

    const names = [held.path, next.path, `${prefix}0123456789ab`, `${prefix}mine`];
    assert.deepEqual(files.list(folder.path), names.map((path) => path.slice(folder.path.length + 1)).sort());
  }
  assert.equal(files.list(folder.path).length, 3);
});

test("temporaryDirectory() names its folder when that is missing", () => {
  assert.throws(() => files.temporaryDirectory("/nowhere/x-"), /temporary directory "\/nowhere\/x-[0-9a-f]{12}"/);
});

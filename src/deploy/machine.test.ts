import { strict as assert } from "node:assert";
import { test } from "node:test";
import { silent } from "../core/progress.ts";
import { createTestMachine, imageDigest, makeImage, REFERENCE, type TestMachine } from "./test-machine.ts";
import { finalizeHost } from "./finalize.ts";
import { readHostStatus } from "./read-status.ts";
import { formatStatus } from "./status-view.ts";
import { update, type UpdateResult } from "./update.ts";

async function upgrade(machine: TestMachine, lines: string[] = [], reference = REFERENCE): Promise<UpdateResult> {
  using open = await machine.open();
  return await update(open, machine.source, {
    spec: { transport: "registry", image: reference },
    downloadOnly: false,
    signal: new AbortController().signal,
    print: (line) => void lines.push(line),
  });
}

test("a machine upgrades", async () => {
  const one = await makeImage({ version: "1" });
  const two = await makeImage({ version: "2" });
  const machine = await createTestMachine(one);
  const { files } = machine.host;
  files.write(`${machine.etc()}/hostname`, "mine\n");
  machine.images.set(REFERENCE, two);
  const lines: string[] = [];
  const result = await upgrade(machine, lines);
  console.log(result, lines.join("\n"));
  console.log(formatStatus((await readHostStatus(machine.host, silent)).host, { verbose: true, booted: false }));
  console.log(await finalizeHost(machine.host, silent));
  const before = machine.bootedId();
  assert.notEqual(machine.boot(), before);
  console.log(formatStatus((await readHostStatus(machine.host, silent)).host, { verbose: false, booted: false }));
  assert.equal(files.readText(`${machine.etc()}/hostname`), "mine\n");
  assert.equal(files.readText(`${machine.etc()}/motd`), "welcome to 2\n");
  console.log(machine.host.calls.length, imageDigest(two));
});

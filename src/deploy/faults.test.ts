/** Faults without a power cut: no space at every write, a registry that goes away, bytes that lie, a damaged store. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import type { FakeCall } from "../host/fake-world.ts";
import { finalizeHost } from "./finalize.ts";
import type { ImageSource } from "./image-source.ts";
import { readHostStatus } from "./read-status.ts";
import { createTestMachine, fingerprint, makeImage, REFERENCE, type TestMachine } from "./test-machine.ts";
import { update, type UpdateResult } from "./update.ts";

const ONE = await makeImage({ version: "1" });
const TWO = await makeImage({ version: "2", kernel: "two" });

async function upgrade(machine: TestMachine, source: ImageSource = machine.source): Promise<UpdateResult> {
  using open = await machine.open();
  return await update(open, source, {
    spec: { transport: "registry", image: REFERENCE },
    downloadOnly: false,
    signal: new AbortController().signal,
    print: () => {},
  });
}

const WRITES = new Set(["create", "write", "make directory", "make symlink", "rename", "truncate"]);

/** Itself or what it was caused by. */
const isNoSpace = (error: unknown): boolean =>
  isFailure(error, "no-space") || (error instanceof Error && isNoSpace(error.cause));

/** Every `STRIDE`-th write of an upgrade or a finalize fails once. */
const STRIDE = { upgrade: 31, finalize: 1 };

for (const name of ["upgrade", "finalize"] as const) {
  test(`no space at a write of ${name}: it fails, the machine stays as it was, and the next try works`, async () => {
    let writes = 0;
    let failAt = 0;
    const onCall = ({ call, path }: FakeCall): void => {
      if (!WRITES.has(call)) return;
      writes += 1;
      if (writes === failAt) throw new Failure("no-space", `Cannot ${call} "${path}": ENOSPC, no space left on device`);
    };
    const prepare = async (): Promise<TestMachine> => {
      const machine = await createTestMachine(ONE, { onCall });
      machine.images.set(REFERENCE, TWO);
      if (name === "finalize") await upgrade(machine);
      machine.host.files.syncFileSystem("/");
      writes = 0;
      return machine;
    };
    const run = async (machine: TestMachine): Promise<unknown> =>
      name === "upgrade" ? upgrade(machine) : finalizeHost(machine.host, silent);
    await run(await prepare());
    const total = writes;
    assert.ok(total > STRIDE[name] * 3, `${total} writes`);
    for (let at = 1; at <= total; at += STRIDE[name]) {
      failAt = 0;
      const machine = await prepare();
      const id = machine.bootedId();
      failAt = at;
      // What is left to upkeep may fail quietly: then the command has done its work.
      const failed = await run(machine).then(
        () => false,
        (error: unknown) => {
          assert.ok(isNoSpace(error), String(error));
          return true;
        },
      );
      failAt = 0;
      const { status } = (await readHostStatus(machine.host, silent)).host;
      assert.equal(status.booted?.composefs.verity, id, `write ${at}`);
      if (failed && name === "upgrade") assert.equal(status.staged, null, `write ${at}`);
      if (name === "upgrade") await upgrade(machine);
      await finalizeHost(machine.host, silent);
      assert.notEqual(machine.boot(), id, `write ${at}`);
    }
  });
}

test("a registry that goes away half-way: nothing changes, and the next try fetches only the rest", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, TWO);
  const before = [fingerprint(machine.host, "/disk/esp"), fingerprint(machine.host, "/disk/root/state/deploy")];
  const flaky: ImageSource = {
    offer: (...request) => machine.source.offer(...request),
    plan: (...request) => machine.source.plan(...request),
    async fetch(_reference, _offered, { store }) {
      const [layer] = TWO.layers;
      const [descriptor] = TWO.manifest.layers;
      assert.ok(layer && descriptor);
      await store.importLayer(streamOf(layer.tar), { descriptor, diffId: layer.diffId });
      throw new Failure("network", `Cannot fetch layer: the connection to "registry.example.com:5000" was closed`);
    },
  };
  await assert.rejects(upgrade(machine, flaky), (error) => isFailure(error, "network"));
  assert.deepEqual(
    [fingerprint(machine.host, "/disk/esp"), fingerprint(machine.host, "/disk/root/state/deploy")],
    before,
  );
  const { fetchedBytes } = await upgrade(machine);
  assert.equal(fetchedBytes, TWO.layers[1]?.tar.length);
});

test("a layer that does not hash to its digest is refused, and nothing changes", async () => {
  const machine = await createTestMachine(ONE);
  const [first, second] = TWO.layers;
  assert.ok(first && second);
  const tar = Buffer.from(second.tar);
  const at = tar.indexOf("only in 2");
  tar[at] = 0x4f;
  machine.images.set(REFERENCE, { ...TWO, layers: [first, { ...second, tar }] });
  const before = [fingerprint(machine.host, "/disk/esp"), fingerprint(machine.host, "/disk/root/state/deploy")];
  await assert.rejects(upgrade(machine), (error) => isFailure(error, "digest-mismatch"));
  assert.deepEqual(
    [fingerprint(machine.host, "/disk/esp"), fingerprint(machine.host, "/disk/root/state/deploy")],
    before,
  );
  machine.images.set(REFERENCE, TWO);
  assert.equal((await upgrade(machine)).kind, "staged");
});

test("a damaged image of the running deployment stops an upgrade with its name", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, TWO);
  const { files } = machine.host;
  const path = files.realpath(`/disk/root/composefs/images/${machine.bootedId()}`);
  files.write(path, Buffer.alloc(8192));
  await assert.rejects(upgrade(machine), (error) => {
    assert.ok(isFailure(error, "corrupt"), String(error));
    assert.ok(error.message.includes(machine.bootedId()));
    return true;
  });
  assert.equal((await readHostStatus(machine.host, silent)).host.status.staged, null);
});

test("a unit that does not start stops the upgrade before anything is staged", async () => {
  const machine = await createTestMachine(ONE, {
    programs: { systemctl: () => ({ exitCode: 1, stderr: "Unit berth-finalize-staged.service not found." }) },
  });
  machine.images.set(REFERENCE, TWO);
  const before = fingerprint(machine.host, "/disk/esp");
  await assert.rejects(upgrade(machine), (error) => isFailure(error, "exec-failed"));
  assert.equal(fingerprint(machine.host, "/disk/esp"), before);
});

/** Machines that somebody or something has damaged: nothing that still boots is taken away, and what can be told is told. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { type Progress, silent } from "../core/progress.ts";
import type { FakeHostOptions } from "../host/fake.ts";
import { bootDirectoryName } from "../boot/entry-name.ts";
import { cleanUp, collectGarbage } from "./cleanup.ts";
import { readDeployments } from "./deployments.ts";
import { finalizeHost } from "./finalize.ts";
import { etcPath, MENU, nextEtcPath, originPath } from "./layout.ts";
import { readMenu } from "./menu.ts";
import { swapNextEtc } from "./next-etc.ts";
import { readHostStatus } from "./read-status.ts";
import { applyRollback, planRollback } from "./rollback.ts";
import { formatStatus } from "./status-view.ts";
import {
  createTestMachine,
  fingerprint,
  imageDigest,
  makeImage,
  REFERENCE,
  type TestImage,
  type TestMachine,
} from "./test-machine.ts";
import { update, type UpdateResult } from "./update.ts";

const ESP = "/disk/esp";
const ROOT = "/disk/root";
const ONE = await makeImage({ version: "1" });
const TWO = await makeImage({ version: "2", kernel: "two" });
const THREE = await makeImage({ version: "3", kernel: "three" });

async function upgrade(machine: TestMachine, image: TestImage): Promise<UpdateResult> {
  machine.images.set(REFERENCE, image);
  using open = await machine.open();
  return await update(open, machine.source, {
    spec: { transport: "registry", image: REFERENCE },
    downloadOnly: false,
    signal: new AbortController().signal,
    print: () => {},
  });
}

async function reboot(machine: TestMachine): Promise<string> {
  await finalizeHost(machine.host, silent);
  return machine.boot();
}

/** Runs `TWO`, `ONE` is the rollback image. */
async function upgradedMachine(options: FakeHostOptions = {}): Promise<TestMachine> {
  const machine = await createTestMachine(ONE, options);
  await upgrade(machine, TWO);
  await reboot(machine);
  return machine;
}

const rollbackId = (machine: TestMachine): string =>
  readMenu(machine.host.files, ESP, MENU).entries.find(({ id }) => id !== machine.bootedId())?.id ?? "";

for (const [what, damage] of [
  [
    "an entry that cannot be parsed",
    (m: TestMachine, name: string) => m.host.files.write(`${ESP}/${MENU}/${name}`, "x\n"),
  ],
  [
    "an entry that cannot be read",
    (m: TestMachine, name: string) => {
      m.host.files.remove(`${ESP}/${MENU}/${name}`);
      m.host.files.makeDirectory(`${ESP}/${MENU}/${name}`);
    },
  ],
] as const) {
  test(`${what} keeps its deployment, its kernel and its objects until a new menu is in place`, async () => {
    const machine = await upgradedMachine();
    const { files } = machine.host;
    const old = rollbackId(machine);
    const entry = readMenu(files, ESP, MENU).entries.find(({ id }) => id === old);
    assert.ok(entry);
    damage(machine, entry.named.name);
    assert.equal((await readHostStatus(machine.host, silent)).problems.length, 1);
    const warnings: string[] = [];
    const progress: Progress = { ...silent, warn: (text) => void warnings.push(text) };
    {
      using open = await machine.open();
      cleanUp({ ...open, progress }, { keepStaged: true });
      collectGarbage({ ...open, progress });
    }
    assert.equal(warnings.at(-1), "Unused objects stay for now: the boot menu cannot be read in full");
    assert.ok(files.exists(etcPath(ROOT, old)));
    assert.ok(files.exists(`${ROOT}/composefs/images/${old}`));
    assert.ok(files.exists(`${ESP}${entry.named.entry.linux ?? ""}`));
    assert.equal((await upgrade(machine, THREE)).kind, "staged");
    await reboot(machine);
    await upgrade(machine, THREE);
    assert.ok(!files.exists(etcPath(ROOT, old)));
  });
}

test("an empty menu takes nothing away, a kernel under another deployment's name neither", async () => {
  const machine = await createTestMachine(ONE);
  const first = machine.bootedId();
  await upgrade(machine, await makeImage({ version: "1.1" }));
  await reboot(machine);
  const { files } = machine.host;
  for (const { named } of readMenu(files, ESP, MENU).entries) files.remove(`${ESP}/${MENU}/${named.name}`);
  await assert.rejects(upgrade(machine, TWO), /it has no entry for the running deployment/);
  assert.deepEqual(files.list(`${ESP}/EFI/Linux`), [bootDirectoryName(first)]);
  assert.ok(files.exists(etcPath(ROOT, first)));
  assert.ok(files.exists(`${ROOT}/composefs/images/${first}`));
});

test("a running deployment without origin is shown, and can be left for another image", async () => {
  const machine = await createTestMachine(ONE);
  const id = machine.bootedId();
  machine.host.files.remove(originPath(ROOT, id));
  const { host, problems } = await readHostStatus(machine.host, silent);
  assert.deepEqual(problems, [`No origin file for deployment ${id}`]);
  assert.equal(host.status.booted?.composefs.verity, id);
  assert.equal(host.status.booted?.image, null);
  assert.equal(host.spec.image, null);
  assert.match(formatStatus(host, { verbose: false, booted: false }), new RegExp(`^Current booted image: ${id}$`, "m"));
  assert.equal((await upgrade(machine, TWO)).kind, "staged");
  assert.notEqual(await reboot(machine), id);
});

test("the running /etc is never exchanged, whatever an interrupted finalize has left", async () => {
  const machine = await upgradedMachine();
  const { files } = machine.host;
  const id = machine.bootedId();
  {
    using open = await machine.open();
    applyRollback(open, planRollback(readDeployments(files, open.sysroot)));
  }
  // The menu's default is the other one now; this one was chosen by hand after a cut between the two exchanges.
  files.makeDirectory(nextEtcPath(ROOT, id));
  files.write(`${nextEtcPath(ROOT, id)}/motd`, "welcome to what runs\n");
  swapNextEtc(files, ROOT, id);
  {
    using open = await machine.open();
    cleanUp(open, { keepStaged: true });
  }
  assert.equal(files.readText(`${etcPath(ROOT, id)}/motd`), "welcome to what runs\n");
  assert.equal(files.exists(nextEtcPath(ROOT, id)), false);
  assert.deepEqual([...files.xattrs(etcPath(ROOT, id)).keys()], []);
});

test("a damaged manifest in the store hides the version, not the status; an upgrade says what is damaged", async () => {
  const machine = await createTestMachine(ONE);
  const { files } = machine.host;
  const streams = `${ROOT}/composefs/streams`;
  const manifest = files.list(streams).find((name) => name.startsWith("oci-manifest-"));
  assert.ok(manifest !== undefined);
  files.write(files.realpath(`${streams}/${manifest}`), "torn");
  const { host, problems } = await readHostStatus(machine.host, silent);
  assert.equal(problems.length, 1, problems.join("\n"));
  assert.equal(host.status.booted?.image?.imageDigest, imageDigest(ONE));
  assert.equal(host.status.booted?.image?.version, null);
  await assert.rejects(
    upgrade(machine, TWO),
    (error) => isFailure(error, "corrupt") && error.message.endsWith("is damaged"),
  );
  assert.equal(machine.boot(), machine.bootedId());
});

test("two names of one menu directory, as a torn FAT has them, are never removed", async () => {
  const machine = await upgradedMachine();
  const { files } = machine.host;
  const staged = `${ESP}/loader/entries.staged`;
  files.makeDirectory(staged);
  for (const name of files.list(`${ESP}/${MENU}`)) files.link(`${ESP}/${MENU}/${name}`, `${staged}/${name}`);
  const before = fingerprint(machine.host, ESP);
  await assert.rejects(upgrade(machine, THREE), (error) => {
    assert.ok(isFailure(error, "corrupt"));
    assert.match(error.message, /"loader\/entries" and "loader\/entries\.staged" .* are one directory$/);
    assert.match(error.hint ?? "", /fsck\.vfat/);
    return true;
  });
  assert.equal(fingerprint(machine.host, ESP), before);
  assert.equal(machine.boot(), machine.bootedId());
});

test("a rollback whose initrd is gone is refused", async () => {
  const machine = await upgradedMachine();
  const old = rollbackId(machine);
  machine.host.files.remove(`${ESP}/EFI/Linux/${bootDirectoryName(old)}/initrd`);
  const before = fingerprint(machine.host, ESP);
  using open = await machine.open();
  const plan = planRollback(readDeployments(machine.host.files, open.sysroot));
  assert.throws(() => applyRollback(open, plan), /initrd" is missing, so it would not boot/);
  assert.equal(fingerprint(machine.host, ESP), before);
});

test("a staged deployment that lost its kernel never becomes the default, and the next upgrade brings it back", async () => {
  const machine = await createTestMachine(ONE);
  const id = machine.bootedId();
  await upgrade(machine, TWO);
  const { files } = machine.host;
  const kernel = files.list(`${ESP}/EFI/Linux`).find((name) => name !== bootDirectoryName(id));
  files.remove(`${ESP}/EFI/Linux/${kernel ?? ""}/vmlinuz`);
  const before = fingerprint(machine.host, `${ESP}/loader`);
  await assert.rejects(finalizeHost(machine.host, silent), /Cannot boot deployment .* next: .*vmlinuz" is missing/);
  assert.equal(fingerprint(machine.host, `${ESP}/loader`), before);
  assert.equal(machine.boot(), id);
  await upgrade(machine, TWO);
  assert.notEqual(await reboot(machine), id);
});

test("a file of /etc that vanishes while it is merged is no part of the next /etc", async () => {
  const vanishing = ["vanish-before-stat", "vanish-before-copy"];
  const machine = await createTestMachine(ONE);
  const { files } = machine.host;
  for (const name of vanishing) files.write(`${machine.etc()}/${name}`, "an editor's\n");
  const real = { ...files };
  const vanish = (path: string, when: string): void => {
    if (path.endsWith(when)) files.remove(path);
  };
  Object.assign(files, {
    xattrs: (path: string) => {
      vanish(path, "/vanish-before-stat");
      return real.xattrs(path);
    },
    copy: (from: string, to: string) => {
      vanish(from, "/vanish-before-copy");
      real.copy(from, to);
    },
  });
  assert.equal((await upgrade(machine, TWO)).kind, "staged");
  await reboot(machine);
  for (const name of vanishing) assert.equal(files.exists(`${machine.etc()}/${name}`), false, name);
});

test("an ESP that has room once the staged kernel is dropped takes the next one", async () => {
  const machine = await createTestMachine(ONE);
  await upgrade(machine, TWO);
  const { files } = machine.host;
  const staged = files.list(`${ESP}/EFI/Linux`).find((name) => name !== bootDirectoryName(machine.bootedId()));
  assert.ok(staged !== undefined);
  const initrd = `${ESP}/EFI/Linux/${staged}/initrd`;
  const real = { ...files };
  const free = { esp: 1024 * 1024 };
  Object.assign(files, {
    space: (path: string) => ({ ...real.space(path), ...(path !== "/sysroot" && { freeBytes: free.esp }) }),
  });
  const next = await makeImage({ version: "6", kernel: "six" });
  assert.equal((await upgrade(machine, next)).kind, "staged", "the new kernel is as large as the dropped one");
  assert.equal(files.exists(initrd), false);
  free.esp = 0;
  await assert.rejects(upgrade(machine, TWO), (error) => {
    assert.ok(isFailure(error, "no-space"));
    assert.match(error.message, /^Insufficient free space for .* on the EFI system partition$/);
    return true;
  });
});

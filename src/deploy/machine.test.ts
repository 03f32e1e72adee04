/** The whole machine on the fake host: what a user does, in the words of the tutorial, and what is refused. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Failure, isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import type { FakeHostOptions } from "../host/fake.ts";
import { readDeployments } from "./deployments.ts";
import { finalizeHost } from "./finalize.ts";
import type { HostObject } from "./host-object.ts";
import { MENU, originPath, STAGED_FILE } from "./layout.ts";
import { readMenu } from "./menu.ts";
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
import {
  checkUpdate,
  followedImage,
  followsAlready,
  retag,
  unlockStaged,
  update,
  type UpdateResult,
} from "./update.ts";

const ESP = "/disk/esp";
const OTHER = "registry.example.com:5000/other:3";
const ONE = await makeImage({ version: "1" });
const TWO = await makeImage({ version: "2", kernel: "two" });
const THREE = await makeImage({ version: "3", id: "ubuntu" });

interface Answer {
  readonly result: UpdateResult;
  readonly lines: readonly string[];
}

interface Ask {
  readonly reference?: string;
  readonly downloadOnly?: boolean;
}

async function upgrade(machine: TestMachine, ask: Ask = {}): Promise<Answer> {
  const lines: string[] = [];
  using open = await machine.open();
  const result = await update(open, machine.source, {
    spec: { transport: "registry", image: ask.reference ?? REFERENCE },
    downloadOnly: ask.downloadOnly ?? false,
    signal: new AbortController().signal,
    print: (text) => void lines.push(...text.split("\n")),
  });
  return { result, lines };
}

async function check(machine: TestMachine): Promise<Answer> {
  const lines: string[] = [];
  using open = await machine.open();
  const request = {
    spec: followedImage(open),
    signal: new AbortController().signal,
    print: (text: string) => void lines.push(...text.split("\n")),
  };
  return { result: await checkUpdate(open, machine.source, request), lines };
}

async function rollBack(machine: TestMachine): Promise<string> {
  using open = await machine.open();
  const plan = planRollback(readDeployments(open.host.files, open.sysroot));
  applyRollback(open, plan);
  return plan.next;
}

const status = async (machine: TestMachine): Promise<HostObject["status"]> =>
  (await readHostStatus(machine.host, silent)).host.status;

async function reboot(machine: TestMachine): Promise<string> {
  await finalizeHost(machine.host, silent);
  return machine.boot();
}

/** A machine that runs `TWO` and has `ONE` as its rollback image. */
async function upgradedMachine(options: FakeHostOptions = {}): Promise<TestMachine> {
  const machine = await createTestMachine(ONE, options);
  machine.images.set(REFERENCE, TWO);
  await upgrade(machine);
  await reboot(machine);
  return machine;
}

const digestOf = (slot: HostObject["status"]["booted"]): string | undefined => slot?.image?.imageDigest;

test("upgrade: check, stage, reboot, in the tutorial's words", async () => {
  const machine = await createTestMachine(ONE);
  assert.deepEqual((await check(machine)).lines, [`No changes in: docker://${REFERENCE}`]);
  machine.images.set(REFERENCE, TWO);
  const checked = await check(machine);
  assert.deepEqual(checked.lines.slice(0, 3), [
    `Update available for: docker://${REFERENCE}`,
    "  Version: 2",
    `  Digest: ${imageDigest(TWO)}`,
  ]);
  assert.match(checked.lines[3] ?? "", /^Total new layers: 2     Size: \d+\.\d kB$/);
  assert.match(checked.lines[6] ?? "", /^Layers to fetch:  2     Size: /);
  const before = fingerprint(machine.host, `/disk/root/state/deploy/${machine.bootedId()}`);

  const { result, lines } = await upgrade(machine);
  assert.equal(result.kind, "staged");
  assert.match(lines[0] ?? "", /^layers already present: 0; layers needed: 2 \(\d+\.\d kB\)$/);
  assert.match(lines[1] ?? "", /^Fetched layers: \d+\.\d\d KiB in \d+ seconds? \(\d+\.\d\d KiB\/s\)$/);
  assert.match(lines[2] ?? "", /^Deploying: done \(\d+ seconds?\)$/);
  assert.deepEqual(lines.slice(3, 6), [
    `Queued for next boot: ${REFERENCE}`,
    "  Version: 2",
    `  Digest: ${imageDigest(TWO)}`,
  ]);
  assert.ok(
    machine.host.executed.some((argv) => argv.join(" ") === "systemctl start --quiet berth-finalize-staged.service"),
  );
  assert.equal(digestOf((await status(machine)).staged), imageDigest(TWO));
  assert.equal(
    fingerprint(machine.host, `/disk/root/state/deploy/${machine.bootedId()}`),
    before,
    "the running deployment was touched",
  );

  const old = machine.bootedId();
  assert.notEqual(await reboot(machine), old);
  const now = await status(machine);
  assert.equal(now.staged, null);
  assert.equal(digestOf(now.booted), imageDigest(TWO));
  assert.equal(digestOf(now.rollback), imageDigest(ONE));
  assert.equal(now.rollbackQueued, false);
});

test("local changes in /etc survive, those made after staging too; the new image's defaults arrive", async () => {
  const machine = await createTestMachine(ONE);
  const { files } = machine.host;
  files.write(`${machine.etc()}/hostname`, "mine\n");
  files.makeDirectory(`${machine.etc()}/ssh`, { mode: 0o700 });
  files.setXattr(`${machine.etc()}/ssh`, "user.large", Buffer.alloc(4000, "x"));
  machine.images.set(REFERENCE, TWO);
  await upgrade(machine);
  files.write(`${machine.etc()}/after-staging`, "yes\n");
  files.remove(`${machine.etc()}/ssh/gone`);
  files.write(`${machine.etc()}/.updated`, "");
  await reboot(machine);
  assert.equal(files.readText(`${machine.etc()}/hostname`), "mine\n");
  assert.equal(files.readText(`${machine.etc()}/after-staging`), "yes\n");
  assert.equal(files.readText(`${machine.etc()}/motd`), "welcome to 2\n");
  assert.equal(files.readlink(`${machine.etc()}/os-release`), "../usr/lib/os-release");
  assert.equal(files.lstat(`${machine.etc()}/ssh`)?.mode, 0o700);
  assert.equal(files.xattrs(`${machine.etc()}/ssh`).get("user.large")?.length, 4000);
  assert.equal(files.exists(`${machine.etc()}/.updated`), false);
  assert.deepEqual([...files.xattrs(machine.etc()).keys()], []);
});

test("conflicts in /etc stop the upgrade before anything is staged, all at once", async () => {
  const machine = await createTestMachine(ONE);
  const { files } = machine.host;
  files.write(`${machine.etc()}/a.d`, "mine\n");
  files.makeDirectory(`${machine.etc()}/b.conf`);
  machine.images.set(
    REFERENCE,
    await makeImage({ version: "2", files: { "etc/a.d/": "", "etc/a.d/x": "x", "etc/b.conf": "b" } }),
  );
  const before = fingerprint(machine.host, "/disk/esp");
  await assert.rejects(upgrade(machine), (error) => {
    assert.ok(isFailure(error, "conflict"));
    assert.equal(
      error.message,
      "Merge conflicts found in etc:\n  File 'a.d' now defaults to a directory in new etc\n  Directory 'b.conf' now defaults to a file in new etc",
    );
    assert.match(error.hint ?? "", /nothing was changed/);
    return true;
  });
  assert.equal(fingerprint(machine.host, "/disk/esp"), before);
  assert.equal((await status(machine)).staged, null);
});

test("a conflict that arises after staging leaves the running system the default", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, await makeImage({ version: "2", files: { "etc/a.d/": "", "etc/a.d/x": "x" } }));
  await upgrade(machine);
  machine.host.files.write(`${machine.etc()}/a.d`, "mine\n");
  machine.host.files.syncFileSystem("/");
  await assert.rejects(finalizeHost(machine.host, silent), /Merge conflicts found in etc/);
  const id = machine.bootedId();
  assert.equal(machine.boot(), id);
});

test("rollback: there and back, and it drops what is staged", async () => {
  const machine = await upgradedMachine();
  const two = machine.bootedId();
  assert.equal(await rollBack(machine), "rollback");
  const queued = await status(machine);
  assert.equal(queued.rollbackQueued, true);
  assert.match(
    formatStatus((await readHostStatus(machine.host, silent)).host, { verbose: false, booted: false }),
    /\nNext boot: rollback deployment$/,
  );
  assert.equal(await rollBack(machine), "current");
  assert.equal((await status(machine)).rollbackQueued, false);
  assert.equal(await reboot(machine), two);

  machine.images.set(REFERENCE, THREE);
  await upgrade(machine);
  assert.equal(await rollBack(machine), "rollback");
  assert.equal((await status(machine)).staged, null);
  assert.notEqual(await reboot(machine), two);
  const now = await status(machine);
  assert.equal(digestOf(now.booted), imageDigest(ONE));
  assert.equal(digestOf(now.rollback), imageDigest(TWO));
});

test("rollback gives back the /etc of that deployment", async () => {
  const machine = await createTestMachine(ONE);
  const { files } = machine.host;
  files.write(`${machine.etc()}/mine`, "one\n");
  machine.images.set(REFERENCE, TWO);
  await upgrade(machine);
  const before = fingerprint(machine.host, machine.etc());
  const etc = machine.etc();
  await reboot(machine);
  files.write(`${machine.etc()}/mine`, "two\n");
  files.syncFileSystem("/");
  await rollBack(machine);
  await reboot(machine);
  assert.equal(machine.etc(), etc);
  assert.equal(fingerprint(machine.host, etc), before);
});

test("rollback refuses without another deployment, and one that would not boot", async () => {
  const single = await createTestMachine(ONE);
  await assert.rejects(
    rollBack(single),
    (error) => isFailure(error, "not-found") && error.message === "No rollback available",
  );
  const machine = await upgradedMachine();
  const rollback = (await status(machine)).rollback?.composefs.verity ?? "";
  machine.host.files.remove(`/disk/root/composefs/images/${rollback}`);
  const before = fingerprint(machine.host, ESP);
  await assert.rejects(rollBack(machine), /Cannot roll back to deployment .* is missing, so it would not boot/);
  assert.equal(fingerprint(machine.host, ESP), before);
});

test("after a rollback, upgrade stages the rollback image again without a download", async () => {
  const machine = await upgradedMachine();
  await rollBack(machine);
  await reboot(machine);
  const rollbackEtc = fingerprint(
    machine.host,
    `/disk/root/state/deploy/${(await status(machine)).rollback?.composefs.verity}/etc`,
  );
  machine.host.files.write(`${machine.etc()}/since`, "rollback\n");
  assert.deepEqual((await check(machine)).lines, [`No changes in: docker://${REFERENCE}`]);
  const { result, lines } = await upgrade(machine);
  assert.equal(lines[0], `No changes in ${REFERENCE} => ${imageDigest(TWO)}`);
  assert.match(lines[1] ?? "", /^Deploying: done/);
  assert.equal(lines[2], `Queued for next boot: ${REFERENCE}`);
  assert.equal(result.fetchedBytes, 0);
  const now = await status(machine);
  assert.equal(digestOf(now.staged), imageDigest(TWO));
  assert.equal(digestOf(now.booted), imageDigest(ONE));
  assert.equal(digestOf(now.rollback), imageDigest(TWO));
  const rollback = now.rollback?.composefs.verity ?? "";
  assert.equal(
    fingerprint(machine.host, `/disk/root/state/deploy/${rollback}/etc`),
    rollbackEtc,
    "until the reboot the rollback keeps its /etc",
  );
  await reboot(machine);
  assert.equal(digestOf((await status(machine)).booted), imageDigest(TWO));
  assert.equal(machine.host.files.readText(`${machine.etc()}/since`), "rollback\n");
});

test("switch to another distribution is the default of both boot loaders, and back", async () => {
  const machine = await upgradedMachine();
  machine.images.set(OTHER, THREE);
  const { lines } = await upgrade(machine, { reference: OTHER });
  assert.ok(lines.includes(`Queued for next boot: ${OTHER}`));
  await reboot(machine);
  const now = await status(machine);
  assert.equal(digestOf(now.booted), imageDigest(THREE));
  assert.equal(now.booted?.image?.image.image, OTHER);
  assert.equal(digestOf(now.rollback), imageDigest(TWO));
  assert.equal((await readHostStatus(machine.host, silent)).host.spec.image?.image, OTHER);
  using open = await machine.open();
  assert.equal(followsAlready(open, { transport: "registry", image: OTHER })?.kind, "current");
  assert.equal(followsAlready(open, { transport: "registry", image: REFERENCE }), undefined);
});

test("kernel arguments: the image's difference is applied, the machine's own stay", async () => {
  const kargs = (text: string): Record<string, string> => ({ "usr/lib/bootc/kargs.d/10.toml": `kargs = [${text}]\n` });
  const machine = await createTestMachine(await makeImage({ version: "1", files: kargs('"quiet", "a=1"') }));
  const options = (): string => readMenu(machine.host.files, ESP, MENU).entries[0]?.named.entry.options ?? "";
  assert.equal(options(), `root=UUID=1234 rw console=ttyS0 composefs=${machine.bootedId()} quiet a=1`);
  machine.images.set(REFERENCE, await makeImage({ version: "2", files: kargs('"quiet", "a=2", "b"') }));
  await upgrade(machine);
  await reboot(machine);
  assert.equal(options(), `root=UUID=1234 rw console=ttyS0 composefs=${machine.bootedId()} quiet a=2 b`);
});

test("equal kernels share a directory; what fell off the menu is removed", async () => {
  const machine = await createTestMachine(ONE);
  const kernels = (): string[] => machine.host.files.list(`${ESP}/EFI/Linux`);
  const [first] = kernels();
  machine.images.set(REFERENCE, await makeImage({ version: "1.1" }));
  await upgrade(machine);
  assert.deepEqual(kernels(), [first]);
  await reboot(machine);
  machine.images.set(REFERENCE, await makeImage({ version: "1.2" }));
  await upgrade(machine);
  await reboot(machine);
  assert.deepEqual(kernels(), [first], "the directory named after a deployment that is gone is still needed");
  machine.images.set(REFERENCE, TWO);
  await upgrade(machine);
  await reboot(machine);
  assert.equal(kernels().length, 2);
  machine.images.set(REFERENCE, await makeImage({ version: "2.1", kernel: "two" }));
  await upgrade(machine);
  await reboot(machine);
  await upgrade(machine);
  assert.equal(kernels().length, 1);
  assert.ok(!kernels().includes(first ?? ""));
  assert.equal(machine.host.files.list("/disk/root/composefs/images").length, 2);
});

test("a download-only update waits for --from-downloaded", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, TWO);
  const { lines } = await upgrade(machine, { downloadOnly: true });
  assert.ok(lines.includes("Image downloaded, but will not be applied on reboot"));
  assert.equal((await status(machine)).staged?.downloadOnly, true);
  assert.deepEqual(await finalizeHost(machine.host, silent).then(({ kind }) => kind), "locked");
  const said: string[] = [];
  {
    using open = await machine.open();
    const armed = machine.host.executed.length;
    await unlockStaged(open, (line) => void said.push(line));
    await unlockStaged(open, (line) => void said.push(line));
    assert.deepEqual(machine.host.executed.at(armed), [
      "systemctl",
      "start",
      "--quiet",
      "berth-finalize-staged.service",
    ]);
  }
  assert.deepEqual(said, [
    "Staged deployment will now be applied on reboot",
    "Staged deployment is already set to apply on reboot",
  ]);
  assert.deepEqual((await upgrade(machine)).lines, ["Staged update present, not changed"]);
  const again = await upgrade(machine, { downloadOnly: true });
  assert.deepEqual(again.lines, [
    "Staged update present, not changed",
    "Image downloaded, but will not be applied on reboot",
  ]);
  assert.deepEqual((await upgrade(machine)).lines.at(-1), "Staged deployment will now be applied on reboot");
  await reboot(machine);
  assert.equal(digestOf((await status(machine)).booted), imageDigest(TWO));
  using open = await machine.open();
  await assert.rejects(
    unlockStaged(open, () => {}),
    /No staged deployment found/,
  );
});

test("an update that the registry took back is dropped", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, TWO);
  await upgrade(machine);
  machine.images.set(REFERENCE, ONE);
  const { result, lines } = await upgrade(machine);
  assert.equal(result.kind, "current");
  assert.deepEqual(lines, [`No changes in: docker://${REFERENCE}`, `Dropped staged image: ${REFERENCE}`]);
  assert.equal((await status(machine)).staged, null);
});

test("an image of the same content changes only what is followed", async () => {
  const machine = await createTestMachine(ONE);
  const same = await makeImage({ version: "1", labels: { "containers.bootc": "1", other: "label" } });
  machine.images.set(OTHER, same);
  const { result, lines } = await upgrade(machine, { reference: OTHER });
  assert.equal(result.kind, "followed");
  assert.match(lines.at(-1) ?? "", /^Image content is unchanged; this system now follows /);
  const now = await status(machine);
  assert.equal(now.booted?.image?.image.image, OTHER);
  assert.equal(digestOf(now.booted), imageDigest(same));
});

test("status works beside a bogus entry, a missing origin and a missing marker", async () => {
  const machine = await upgradedMachine();
  const { files } = machine.host;
  files.write(`${ESP}/${MENU}/bogus.conf`, "garbage\n");
  files.write(`${ESP}/${MENU}/other.conf`, "title Windows\nefi /EFI/Microsoft/x.efi\n");
  const rollback = (await status(machine)).rollback?.composefs.verity ?? "";
  files.remove(originPath("/disk/root", rollback));
  files.remove("/run/composefs");
  const report = await readHostStatus(machine.host, silent);
  assert.equal(report.host.status.booted?.composefs.verity, machine.bootedId());
  assert.equal(report.host.status.rollback, null);
  assert.deepEqual(
    report.problems.map((problem) => problem.replace(/[0-9a-f]{128}/, "ID")),
    [
      'Boot entry loader/entries/bogus.conf cannot be read: Cannot parse boot entry, line 1: "garbage" is no "key value"',
      "Boot entry loader/entries/other.conf names no deployment: skipped",
      "No origin file for deployment ID",
    ],
  );
  machine.images.set(REFERENCE, THREE);
  assert.equal((await upgrade(machine)).result.kind, "staged");
  assert.ok(
    files.exists(`/disk/root/state/deploy/${rollback}/etc`),
    "nothing is removed while an entry cannot be read",
  );
});

test("a malformed marker stages nothing", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, TWO);
  await upgrade(machine);
  machine.host.files.write(STAGED_FILE, "{");
  assert.equal((await status(machine)).staged, null);
  assert.deepEqual(await finalizeHost(machine.host, silent), { kind: "nothing" });
});

const REFUSED: readonly {
  what: string;
  image?: Parameters<typeof makeImage>[0];
  reference?: string;
  code: Failure["code"];
  message: RegExp;
}[] = [
  {
    what: "an unknown reference",
    reference: "registry.example.com:5000/none:1",
    code: "not-found",
    message: /the registry does not know it/,
  },
  {
    what: "another architecture",
    image: { version: "2", architecture: "arm64" },
    code: "bad-input",
    message: /^Image has architecture arm64; expected amd64$/,
  },
  {
    what: "an image without a kernel",
    image: { version: "2", without: ["usr/lib/modules/6.12/vmlinuz"] },
    code: "bad-input",
    message: /Cannot deploy image .*: it has no usr\/lib\/modules\/\*\/vmlinuz/,
  },
  {
    what: "an image without an initramfs",
    image: { version: "2", without: ["usr/lib/modules/6.12/initramfs.img"] },
    code: "bad-input",
    message: /has no initramfs\.img/,
  },
  {
    what: "an empty initramfs",
    image: { version: "2", files: { "usr/lib/modules/6.12/initramfs.img": "" } },
    code: "bad-input",
    message: /its usr\/lib\/modules\/6\.12\/initramfs\.img is empty/,
  },
  {
    what: "an image that leaves no place for /proc",
    image: { version: "2", without: ["proc/"] },
    code: "bad-input",
    message: /it has no directory \/proc to mount on/,
  },
  {
    what: "two kernels",
    image: {
      version: "2",
      files: {
        "usr/lib/modules/6.1/": "",
        "usr/lib/modules/6.1/vmlinuz": "k",
        "usr/lib/modules/6.1/initramfs.img": "i",
      },
    },
    code: "bad-input",
    message: /several kernels: 6\.1, 6\.12/,
  },
  {
    what: "malformed kernel arguments",
    image: { version: "2", files: { "usr/lib/bootc/kargs.d/10.toml": "kargs = 1" } },
    code: "bad-input",
    message: /Cannot parse kernel arguments "usr\/lib\/bootc\/kargs\.d\/10\.toml": kargs is no array/,
  },
];

for (const { what, image, reference, code, message } of REFUSED) {
  test(`upgrade refuses ${what} and changes nothing`, async () => {
    const machine = await upgradedMachine();
    machine.images.set(REFERENCE, image === undefined ? TWO : await makeImage(image));
    const before = [fingerprint(machine.host, ESP), fingerprint(machine.host, "/disk/root/state/deploy")];
    await assert.rejects(upgrade(machine, reference === undefined ? {} : { reference }), (error) => {
      assert.ok(isFailure(error, code), String(error));
      assert.match(error.message, message);
      return true;
    });
    assert.deepEqual([fingerprint(machine.host, ESP), fingerprint(machine.host, "/disk/root/state/deploy")], before);
    assert.equal(machine.boot(), machine.bootedId());
  });
}

test("a missing label is only a notice", async () => {
  const machine = await createTestMachine(ONE);
  machine.images.set(REFERENCE, await makeImage({ version: "2", labels: {} }));
  const warnings: string[] = [];
  using open = await machine.open();
  await update({ ...open, progress: { ...silent, warn: (text) => void warnings.push(text) } }, machine.source, {
    spec: followedImage(open),
    downloadOnly: false,
    signal: new AbortController().signal,
    print: () => {},
  });
  assert.deepEqual(warnings, ["notice: Image is missing label: containers.bootc"]);
});

test("retag() takes another tag and drops a digest", () => {
  const spec = { transport: "registry", image: `host.example.com/os:1@sha256:${"a".repeat(64)}` };
  assert.equal(retag(spec, "2").image, "host.example.com/os:2");
  assert.throws(
    () => retag(spec, "no tag"),
    (error) => isFailure(error, "bad-input"),
  );
});

test("one change at a time, and status works meanwhile", async () => {
  const machine = await createTestMachine(ONE);
  using _open = await machine.open();
  await assert.rejects(
    machine.open(),
    (error) => isFailure(error, "busy") && /another berth command is changing it/.test(error.message),
  );
  assert.equal((await status(machine)).booted?.composefs.verity, machine.bootedId());
});

const spaceNeeded = (image: TestImage): number => image.layers.reduce((sum, { tar }) => sum + tar.length, 0);

test("too little space is told before the download", async () => {
  const machine = await createTestMachine(ONE, { totalBytes: 30 * 1024 * 1024 });
  machine.images.set(REFERENCE, TWO);
  assert.ok(spaceNeeded(TWO) < 30 * 1024 * 1024);
  await assert.rejects(upgrade(machine), (error) => {
    assert.ok(isFailure(error, "no-space"));
    assert.match(
      error.message,
      /^Insufficient free space for registry\.example\.com:5000\/os:1 \(available: \d+\.\d MB required: 33\.6 MB\)$/,
    );
    return true;
  });
});

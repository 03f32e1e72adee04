import { strict as assert } from "node:assert";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createFakeHost, type FakeHost, type FakeHostOptions } from "../host/fake.ts";
import { detectBootloader, detectEnvironment, readUsrOverlay } from "./environment.ts";
import { findEsp, parseLsblk } from "./esp.ts";
import { EMPTY_HOST } from "./host-object.ts";
import { openMachine } from "./machine.ts";
import { readHostStatus } from "./read-status.ts";
import { mountUsrOverlay } from "./usr-overlay.ts";

const ID = "a".repeat(128);
const LOADER_INFO = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

function bootedHost(options: FakeHostOptions = {}, source = `composefs:${ID}`): FakeHost {
  const host = createFakeHost({
    mountContent: () => "/",
    ...options,
    files: { "/sysroot/x": "", "/usr/x": "", ...options.files },
  });
  host.mounts.mount({ type: "overlay", source, target: "/" });
  return host;
}

test("detectEnvironment() reads the booted deployment from the root's mount source", () => {
  assert.deepEqual(detectEnvironment(bootedHost()), { kind: "booted", bootedId: ID });
  assert.deepEqual(detectEnvironment(bootedHost({}, `transient:composefs=${ID}`)), { kind: "booted", bootedId: ID });
  assert.deepEqual(detectEnvironment(bootedHost({}, "composefs:abc")), { kind: "other" });
  assert.deepEqual(detectEnvironment(createFakeHost()), { kind: "other" });
});

const REFUSED: readonly [what: string, host: () => FakeHost, code: string, message: string][] = [
  [
    "a container by its mark",
    () => bootedHost({ files: { "/run/.containerenv": "" } }),
    "in-container",
    "Detected container; this command requires a booted host system.",
  ],
  [
    "a container by its environment",
    () => bootedHost({ env: { container: "podman" } }),
    "in-container",
    "Detected container; this command requires a booted host system.",
  ],
  [
    "another user than root",
    () => bootedHost({ user: { uid: 1000, gid: 1000 } }),
    "not-root",
    "This command must be executed as the root user",
  ],
  ["a system that was not booted from an image", () => createFakeHost(), "not-a-host", "System not booted via bootc"],
];

for (const [what, make, code, message] of REFUSED) {
  test(`openMachine() refuses ${what}`, async () => {
    const host = make();
    await assert.rejects(openMachine(host, { access: "write", progress: silent }), (error) => {
      assert.ok(isFailure(error));
      assert.equal(error.code, code);
      assert.equal(error.message, message);
      return true;
    });
  });
}

test("openMachine() refuses a read-only medium", async () => {
  const host = bootedHost();
  host.mounts.mount({ type: "ext4", source: "/dev/sr0", target: "/sysroot", data: "ro" });
  await assert.rejects(
    openMachine(host, { access: "write", progress: silent }),
    /\/sysroot is on a read-only block device \(e\.g\. a live ISO\)/,
  );
});

test("status outside of a deployed system is the empty host object, for everybody", async () => {
  const other = createFakeHost({ user: { uid: 1000, gid: 1000 } });
  assert.deepEqual(await readHostStatus(other, silent), { host: EMPTY_HOST, problems: [] });
  await assert.rejects(readHostStatus(bootedHost({ user: { uid: 1000, gid: 1000 } }), silent), (error) =>
    isFailure(error, "not-root"),
  );
});

test("detectBootloader() reads the EFI variable", () => {
  const variable = (text: string): Buffer =>
    Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from(`${text}\0`, "utf16le")]);
  assert.equal(
    detectBootloader(createFakeHost({ files: { [LOADER_INFO]: variable("systemd-boot 257.13-1") } }).files),
    "systemd",
  );
  assert.equal(detectBootloader(createFakeHost({ files: { [LOADER_INFO]: variable("GRUB 2.12") } }).files), "grub");
  assert.equal(detectBootloader(createFakeHost().files), "grub");
});

test("mountUsrOverlay() mounts once and says how", () => {
  const host = bootedHost();
  assert.deepEqual(mountUsrOverlay(host, "readWrite"), { accessMode: "readWrite", mounted: true });
  assert.deepEqual(readUsrOverlay(host.mounts.list()), { accessMode: "readWrite", persistence: "transient" });
  assert.deepEqual(mountUsrOverlay(host, "readOnly"), { accessMode: "readWrite", mounted: false });
  assert.deepEqual(
    host.mounts.list().filter(({ type }) => type === "tmpfs"),
    [],
  );
  assert.throws(() => mountUsrOverlay(createFakeHost(), "readOnly"), /usroverlay only applies on booted hosts/);
  assert.throws(
    () => mountUsrOverlay(bootedHost({ user: { uid: 1, gid: 1 } }), "readOnly"),
    /must be executed as the root user/,
  );
});

const ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const disks = (types: readonly (string | null)[]): string =>
  JSON.stringify({
    blockdevices: [
      {
        path: "/dev/vdb",
        "maj:min": "8:0",
        parttype: null,
        children: [{ path: "/dev/vdb1", "maj:min": "8:1", parttype: ESP }],
      },
      {
        path: "/dev/vda",
        "maj:min": "254:0",
        parttype: null,
        children: types.map((parttype, i) => ({ path: `/dev/vda${i + 1}`, "maj:min": `254:${i + 1}`, parttype })),
      },
    ],
  });
const root = { path: "/", source: "/dev/vda3" };

test("findEsp() takes the ESP of the root's disk, not another disk's", async () => {
  const host = createFakeHost({
    programs: { lsblk: () => ({ stdout: disks(["21686148-6449-6e6f-744e-656564454649", ESP, "x"]) }) },
  });
  assert.equal(await findEsp(host, root), "/dev/vda2");
});

test("findEsp() probes when lsblk knows no types", async () => {
  const programs = {
    lsblk: () => ({ stdout: disks([null, null, null]) }),
    blkid: ({ argv }: { argv: readonly string[] }) =>
      argv.at(-1) === "/dev/vda2" ? { stdout: `${ESP.toLowerCase()}\n` } : { exitCode: 2 },
  };
  assert.equal(await findEsp(createFakeHost({ programs }), root), "/dev/vda2");
});

test("findEsp() says what is missing", async () => {
  const host = createFakeHost({
    programs: { lsblk: () => ({ stdout: disks(["a", "b", "c"]) }), blkid: () => ({ exitCode: 2 }) },
  });
  await assert.rejects(
    findEsp(host, root),
    /Cannot find the EFI system partition: no partition of type ESP on the disk of "\/"/,
  );
  assert.throws(() => parseLsblk("{}"), SyntaxError);
  assert.throws(() => parseLsblk("nonsense"), SyntaxError);
});

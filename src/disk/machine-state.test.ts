import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost, type FakeEntry, type FakeHost } from "../host/fake.ts";
import { writeMachineState } from "./machine-state.ts";
import type { DiskRequest } from "./request.ts";

const state = { etc: "/stage/etc", var: "/stage/var", shell: "/bin/bash" };
const request: DiskRequest = {
  type: "raw",
  sizeBytes: 1,
  kargs: [],
  source: "x.example/y:1",
  uuid: undefined,
  rootAuthorizedKeys: "KEY root\n",
  hostname: "web",
  users: [{ name: "ann", groups: ["sudo"], authorizedKeys: "KEY ann\n" }],
};
const image: Readonly<Record<string, FakeEntry>> = {
  "/root/secret": "host",
  "/stage/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
  "/stage/etc/group": "root:x:0:\nsudo:x:27:\n",
  "/stage/etc/shadow": { content: "root:*:1::::::\n", mode: 0o640, gid: 42 },
  "/stage/etc/sudoers.d/README": "",
  "/stage/etc/skel/.bashrc": "# rc\n",
  "/stage/etc/skel/.config/x": "y",
  "/stage/var/home": { directory: true },
  "/stage/var/roothome": { directory: true, mode: 0o755 },
};

function write(files: Readonly<Record<string, FakeEntry>> = image, wanted: DiskRequest = request): FakeHost {
  const host = createFakeHost({ files });
  writeMachineState(host.files, state, wanted);
  return host;
}

function modeOf(host: FakeHost, path: string): string {
  const stat = host.files.lstat(path);
  return stat === undefined ? "missing" : `${stat.mode.toString(8)} ${stat.uid}:${stat.gid}`;
}

test("writeMachineState() writes host name, keys, users, homes and sudo", () => {
  const { files } = write();
  assert.equal(files.readText("/stage/etc/hostname"), "web\n");
  assert.equal(files.readText("/stage/var/roothome/.ssh/authorized_keys"), "KEY root\n");
  assert.equal(files.readText("/stage/var/home/ann/.ssh/authorized_keys"), "KEY ann\n");
  assert.match(files.readText("/stage/etc/passwd"), /^ann:x:1000:1000::\/home\/ann:\/bin\/bash$/m);
  assert.equal(files.readText("/stage/etc/sudoers.d/90-berth-ann"), "ann ALL=(ALL:ALL) NOPASSWD: ALL\n");
  assert.equal(files.readText("/stage/var/home/ann/.config/x"), "y");
});

test("writeMachineState() gives every file the owner and mode that sshd and sudo insist on", () => {
  const host = write();
  const modes = [
    "roothome",
    "roothome/.ssh",
    "roothome/.ssh/authorized_keys",
    "home/ann",
    "home/ann/.ssh",
    "home/ann/.ssh/authorized_keys",
    "home/ann/.bashrc",
  ];
  assert.deepEqual(
    modes.map((path) => modeOf(host, `/stage/var/${path}`)),
    ["700 0:0", "700 0:0", "600 0:0", "700 1000:1000", "700 1000:1000", "600 1000:1000", "644 1000:1000"],
  );
  assert.equal(modeOf(host, "/stage/etc/sudoers.d/90-berth-ann"), "440 0:0");
  assert.equal(modeOf(host, "/stage/etc/shadow"), "640 0:42");
});

test("writeMachineState() gives no sudo rule to a user outside of sudo's groups, and none without sudoers.d", () => {
  const plain = { ...request, users: [{ name: "bob", groups: [], authorizedKeys: "" }] };
  assert.equal(write(image, plain).files.exists("/stage/etc/sudoers.d/90-berth-bob"), false);
  const { "/stage/etc/sudoers.d/README": _, ...without } = image;
  assert.equal(write(without).files.exists("/stage/etc/sudoers.d"), false);
});

const hostile: readonly (readonly [string, Readonly<Record<string, FakeEntry>>])[] = [
  ["roothome is a link into the host", { "/stage/var/roothome": { symlink: "/root" } }],
  [".ssh is a link into the host", { "/stage/var/roothome/.ssh": { symlink: "/root" } }],
  ["home is a link into the host", { "/stage/var/home": { symlink: "/root" } }],
  ["passwd is a link into the host", { "/stage/etc/passwd": { symlink: "/root/secret" } }],
  ["the user's home exists", { "/stage/var/home/ann": { symlink: "/root" } }],
];
for (const [what, files] of hostile) {
  test(`writeMachineState() refuses when ${what}`, () => {
    const shadowed = Object.fromEntries(
      Object.entries(image).filter(([path]) => !Object.keys(files).some((key) => path === key)),
    );
    const host = createFakeHost({ files: { ...shadowed, ...files } });
    assert.throws(
      () => writeMachineState(host.files, state, request),
      (error) => isFailure(error, "bad-input") || isFailure(error, "conflict"),
    );
    assert.deepEqual(host.files.list("/root"), ["secret"]);
    assert.equal(host.files.readText("/root/secret"), "host");
  });
}

test("writeMachineState() replaces links where it writes files", () => {
  const { files } = write({
    ...image,
    "/stage/etc/hostname": { symlink: "/root/secret" },
    "/stage/var/roothome/.ssh/authorized_keys": { symlink: "/root/secret" },
  });
  assert.equal(files.readText("/root/secret"), "host");
  assert.equal(files.lstat("/stage/etc/hostname")?.kind, "file");
});

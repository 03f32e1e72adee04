import assert from "node:assert/strict";
import { test } from "node:test";
import { isInitCommand, ociSpec, type SpecOptions } from "./bundle.ts";

const options: SpecOptions = {
  rootfs: "/r",
  args: ["/bin/true"],
  env: ["A=b"],
  cwd: "/",
  user: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
  hostname: "h",
  terminal: false,
  readOnly: false,
  capabilities: ["CAP_CHOWN"],
  network: "new",
  mounts: [],
  systemd: undefined,
  cgroupPath: undefined,
};

test("isInitCommand() knows init systems by their place", () => {
  for (const path of [
    "/sbin/init",
    "/usr/sbin/init",
    "/lib/systemd/systemd",
    "/usr/lib/systemd/systemd",
    "systemd",
    "/usr/local/sbin/init",
  ]) {
    assert.ok(isInitCommand([path]), path);
  }
  for (const path of ["/bin/sh", "init.sh", "/opt/init/run", "/sbin/initctl"]) assert.ok(!isInitCommand([path]), path);
});

test("ociSpec() leaves out resources and limits", () => {
  const spec = ociSpec(options);
  assert.ok(!("resources" in spec.linux));
  assert.ok(!("rlimits" in spec.process));
  assert.deepEqual(
    spec.linux.namespaces.map(({ type }) => type),
    ["pid", "ipc", "uts", "mount", "cgroup", "network"],
  );
});

test("ociSpec() gives an init system its tmpfs, a writable cgroup and a uuid", () => {
  const spec = ociSpec({ ...options, args: ["/sbin/init"], systemd: { uuid: "f".repeat(32) }, cgroupPath: "/berth/x" });
  const at = (path: string) => spec.mounts.find(({ destination }) => destination === path);
  for (const path of ["/run", "/run/lock", "/tmp", "/var/log/journal"]) assert.equal(at(path)?.type, "tmpfs", path);
  assert.ok(at("/sys/fs/cgroup")?.options.includes("rw"));
  assert.ok(spec.process.env.includes("container=oci"));
  assert.ok(spec.process.env.includes(`container_uuid=${"f".repeat(32)}`));
  assert.equal(spec.linux.cgroupsPath, "/berth/x");
});

test("ociSpec() mounts cgroups read-only for anything else", () => {
  const cgroup = ociSpec(options).mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
  assert.ok(cgroup?.options.includes("ro"));
});

test("ociSpec() gives users other than root no active capability", () => {
  const { capabilities } = ociSpec({ ...options, user: { uid: 5, gid: 5, additionalGids: [6], home: "/" } }).process;
  assert.deepEqual(capabilities, { bounding: ["CAP_CHOWN"], effective: [], permitted: [] });
});

test("ociSpec() adds PATH and HOME only where the image has none", () => {
  assert.deepEqual(ociSpec({ ...options, env: ["PATH=/p", "HOME=/h", "container=x"] }).process.env, [
    "PATH=/p",
    "HOME=/h",
    "container=x",
  ]);
  assert.ok(ociSpec(options).process.env.includes("HOME=/root"));
});

test("ociSpec() uses the host's /sys with the host's network, where no new sysfs can be mounted", () => {
  const spec = ociSpec({ ...options, network: "host" });
  assert.ok(!spec.linux.namespaces.some(({ type }) => type === "network"));
  assert.equal(spec.mounts.find(({ destination }) => destination === "/sys")?.type, "bind");
});

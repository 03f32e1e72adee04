import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { createFakeHost, type FakeEntry, type FakeHost } from "../../host/fake.ts";
import { applyLayout, formatTmpfiles } from "./image-layout.ts";

const KERNEL = "6.12.1-amd64";
const OPTIONS = {
  archive: { suites: [{ uri: "http://m.example/debian", suite: "trixie", dateSec: 0, digest: "" }], dateSec: 0 },
  settings: { image: ['Acquire::Check-Valid-Until "false";'], build: ['Acquire::http::Proxy "http://proxy.example";'] },
};

/** The bones of what mmdebstrap leaves. */
function installed(more: Readonly<Record<string, FakeEntry>> = {}): FakeHost {
  return createFakeHost({
    files: {
      [`/r/boot/vmlinuz-${KERNEL}`]: "kernel",
      [`/r/boot/config-${KERNEL}`]: "config",
      [`/r/usr/lib/modules/${KERNEL}/modules.dep`]: "",
      "/r/vmlinuz": { symlink: `boot/vmlinuz-${KERNEL}` },
      "/r/etc/hostname": "builder",
      "/r/etc/resolv.conf": "nameserver 192.0.2.1",
      "/r/etc/machine-id": "0123456789abcdef0123456789abcdef",
      "/r/etc/passwd-": "old",
      "/r/etc/ssh/ssh_host_rsa_key": "secret",
      "/r/etc/ssh/sshd_config": "keep",
      "/r/root/.bashrc": "alias",
      "/r/home": { directory: true },
      "/r/srv": { directory: true },
      "/r/usr/local/bin": { directory: true },
      "/r/var/lib/dpkg/status": "Package: x",
      "/r/var/lib/dpkg/lock": "",
      "/r/var/log/dpkg.log": "today",
      "/r/var/log/apt/history.log": "today",
      "/r/var/cache/apt/pkgcache.bin": "cache",
      "/r/var/opt": { directory: true },
      "/r/run/lock": { directory: true },
      "/r/dev/null": "",
      "/r/usr/lib/tmpfiles.d/var.conf": "d /var/log 0755 - - -\nq /var/lib/x 0700\n",
      ...more,
    },
  });
}

test("applyLayout() moves kernel, homes, /usr/local and the package database to where a machine keeps them", () => {
  const { files } = installed();
  assert.equal(applyLayout(files, "/r", OPTIONS), KERNEL);
  assert.equal(files.readText(`/r/usr/lib/modules/${KERNEL}/vmlinuz`), "kernel");
  assert.deepEqual(files.list("/r/boot"), []);
  const links = ["home", "root", "srv", "opt", "mnt", "media", "usr/local", "var/lib/dpkg", "ostree"];
  assert.deepEqual(Object.fromEntries(links.map((link) => [link, files.readlink(`/r/${link}`)])), {
    home: "var/home",
    root: "var/roothome",
    srv: "var/srv",
    opt: "var/opt",
    mnt: "var/mnt",
    media: "var/media",
    "usr/local": "../var/usrlocal",
    "var/lib/dpkg": "../../usr/lib/dpkg-db",
    ostree: "sysroot/ostree",
  });
  assert.equal(files.readText("/r/var/roothome/.bashrc"), "alias");
  assert.equal(files.lstat("/r/var/roothome")?.mode, 0o700);
  assert.equal(files.readText("/r/usr/lib/dpkg-db/status"), "Package: x");
});

test("applyLayout() leaves nothing of the machine and the minute of the build", () => {
  const { files } = installed();
  applyLayout(files, "/r", OPTIONS);
  for (const path of [
    "vmlinuz",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/passwd-",
    "etc/ssh/ssh_host_rsa_key",
    "usr/lib/dpkg-db/lock",
    "var/log/dpkg.log",
    "var/log/apt/history.log",
  ]) {
    assert.equal(files.lstat(`/r/${path}`), undefined, path);
  }
  assert.equal(files.readText("/r/etc/machine-id"), "");
  assert.equal(files.readText("/r/etc/ssh/sshd_config"), "keep");
  for (const path of ["dev", "proc", "sys", "run", "sysroot", "boot", "tmp"])
    assert.deepEqual(files.list(`/r/${path}`), [], path);
  assert.equal(files.lstat("/r/tmp")?.mode, 0o1777);
});

test("applyLayout() mounts /tmp where systemd does not by itself", () => {
  const { files } = installed({ "/r/usr/share/systemd/tmp.mount": "[Mount]\n" });
  applyLayout(files, "/r", OPTIONS);
  assert.equal(files.readText("/r/usr/lib/systemd/system/local-fs.target.wants/tmp.mount"), "[Mount]\n");
});

test("applyLayout() gives the image its sources and no proxy of the host", () => {
  const { files } = installed();
  applyLayout(files, "/r", OPTIONS);
  assert.match(
    files.readText("/r/etc/apt/sources.list"),
    /^deb \[signed-by=\S+\] http:\/\/m\.example\/debian trixie main\n$/,
  );
  assert.match(files.readText("/r/etc/apt/apt.conf.d/90image"), /Check-Valid-Until/);
  assert.doesNotMatch(files.readText("/r/etc/apt/apt.conf.d/90image"), /proxy/i);
});

test("applyLayout() wants exactly one kernel", () => {
  const two = installed({ "/r/boot/vmlinuz-9": "", "/r/usr/lib/modules/9/modules.dep": "" });
  assert.throws(
    () => applyLayout(two.files, "/r", OPTIONS),
    (error) => isFailure(error, "bad-input"),
  );
  const none = createFakeHost({ files: { "/r/usr/lib/modules": { directory: true } } });
  assert.throws(
    () => applyLayout(none.files, "/r", OPTIONS),
    (error) => isFailure(error, "bad-input"),
  );
});

test("applyLayout() leads packages' tmpfiles lines for /home, /srv and /root to /var", () => {
  const { files } = installed({
    "/r/usr/lib/tmpfiles.d/home.conf":
      "# /home\nQ /home 0755 - - -\nd- /root/.ssh :0700 root :root -\nd /rootless 0755\n",
  });
  applyLayout(files, "/r", OPTIONS);
  assert.equal(
    files.readText("/r/usr/lib/tmpfiles.d/home.conf"),
    "# /home\nQ /var/home 0755 - - -\nd- /var/roothome/.ssh :0700 root :root -\nd /rootless 0755\n",
  );
});

test("formatTmpfiles() states each directory and link of /var once, with owner and mode", () => {
  const { files } = installed({ "/r/var/lib/x/y": { directory: true }, "/r/var/lib/odd name": { directory: true } });
  files.symlink("../mail", "/r/var/lib/link");
  const lines = formatTmpfiles(files, "/r").split("\n");
  assert.ok(lines.includes("d /var/lib/x/y 0755 0 0 -"));
  assert.ok(lines.includes("L /var/lib/link - - - - ../mail"));
  assert.ok(lines.includes("d /var/lib/odd\\x20name 0755 0 0 -"));
  assert.ok(
    !lines.some((line) => line.startsWith("d /var/log ") || line.startsWith("d /var/lib/x ")),
    "stated by var.conf",
  );
});

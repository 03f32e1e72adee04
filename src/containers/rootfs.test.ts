/** What containers do with a root file system before they start: paths, users, mount points, name files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { grantableCapabilities } from "./capabilities.ts";
import { crunError } from "./crun.ts";
import { makeMountPoints } from "./mount-points.ts";
import { hostsFile, resolvConf } from "./name-files.ts";
import { resolveUser } from "./user.ts";

test("resolveUser() reads names, numbers and groups", () => {
  const { files } = createFakeHost({
    files: {
      "/r/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv/www:/bin/sh\n# junk\n",
      "/r/etc/group": "root:x:0:\nweb:x:34:\nlog:x:4:other,web\ndisk:x:6:\n",
    },
  });
  const of = (text: string) => resolveUser(files, "/r", text);
  assert.deepEqual(of(""), { uid: 0, gid: 0, additionalGids: [], home: "/root" });
  assert.deepEqual(of("web"), { uid: 33, gid: 34, additionalGids: [4], home: "/srv/www" });
  assert.deepEqual(of("33"), { uid: 33, gid: 34, additionalGids: [4], home: "/srv/www" });
  assert.deepEqual(of("web:disk"), { uid: 33, gid: 6, additionalGids: [], home: "/srv/www" });
  assert.deepEqual(of("1234:99"), { uid: 1234, gid: 99, additionalGids: [], home: "/" });
  for (const text of ["nobody", "web:nogroup"])
    assert.throws(
      () => of(text),
      (error) => isFailure(error, "not-found"),
      text,
    );
});

test("makeMountPoints() takes back what it made, times included", () => {
  const { files } = createFakeHost({ files: { "/r/etc/hosts": "own", "/r/run": { directory: true } } });
  files.setTimes("/r/etc", 1000, 5);
  files.setTimes("/r", 2000, 6);
  {
    using points = makeMountPoints(files, "/r", [
      { target: "/etc/hosts", kind: "file", hides: true },
      { target: "/etc/resolv.conf", kind: "file", hides: true },
      { target: "/a/b/c", kind: "directory", hides: true },
      { target: "/run", kind: "directory", hides: true },
      { target: "/run/secrets/x", kind: "file", hides: true },
    ]);
    assert.deepEqual(points.targets, ["/etc/hosts", "/etc/resolv.conf", "/a/b/c", "/run", "/run/secrets/x"]);
    assert.ok(files.exists("/r/etc/resolv.conf") && files.exists("/r/a/b/c"));
    assert.ok(!files.exists("/r/run/secrets"), "below a mount the mount is what matters");
  }
  assert.deepEqual(files.list("/r"), ["etc", "run"]);
  assert.equal(files.readText("/r/etc/hosts"), "own");
  assert.deepEqual(files.list("/r/etc"), ["hosts"]);
  assert.deepEqual([files.lstat("/r/etc")?.mtimeSec, files.lstat("/r")?.mtimeSec], [1000, 2000]);
});

test("makeMountPoints() leaves what the container put there", () => {
  const { files } = createFakeHost({ files: { "/r": { directory: true } } });
  {
    using points = makeMountPoints(files, "/r", [{ target: "/etc/conf", kind: "directory", hides: true }]);
    assert.equal(points.targets.length, 1);
    files.write("/r/etc/new", "written by the process");
  }
  assert.deepEqual(files.list("/r/etc"), ["new"]);
});

test("resolvConf() leaves out servers that only the host can reach", () => {
  const stub = {
    "/etc/resolv.conf": "nameserver 127.0.0.53\noptions edns0\n",
    "/run/systemd/resolve/resolv.conf": "nameserver 192.0.2.1\n",
  };
  assert.equal(resolvConf(createFakeHost({ files: stub }).files, "private"), "nameserver 192.0.2.1\n");
  const plain = { "/etc/resolv.conf": "search example.com\nnameserver 192.0.2.9\nnameserver ::1\n" };
  assert.equal(
    resolvConf(createFakeHost({ files: plain }).files, "private"),
    "search example.com\nnameserver 192.0.2.9\n",
  );
  assert.equal(resolvConf(createFakeHost({ files: stub }).files, "host"), stub["/etc/resolv.conf"]);
});

test("hostsFile() names the container", () => {
  const { files } = createFakeHost({ files: { "/etc/hosts": "127.0.0.1 localhost\n" } });
  assert.match(hostsFile(files, { network: "private", hostname: "web", address: "10.87.1.2" }), /^10\.87\.1\.2\tweb$/m);
  assert.match(
    hostsFile(files, { network: "host", hostname: "web", address: undefined }),
    /localhost\n127\.0\.1\.1\tweb\n$/,
  );
});

test("grantableCapabilities() asks for none that the bounding set lacks", () => {
  const { files } = createFakeHost({ files: { "/proc/self/status": "Name:\tx\nCapBnd:\t000001fffeffffff\n" } });
  assert.equal(grantableCapabilities(files).length, 14);
  const few = createFakeHost({ files: { "/proc/self/status": "CapBnd:\t0000000000000003\n" } }).files;
  assert.deepEqual(grantableCapabilities(few), ["CAP_CHOWN", "CAP_DAC_OVERRIDE"]);
});

test("crunError() tells who is to blame by podman's numbers", () => {
  const line = (message: string): string =>
    `{"msg":${JSON.stringify(message)},"level":"error","time":"2026-01-02T03:04:05Z"}\n`;
  assert.equal(crunError(undefined), undefined);
  assert.equal(crunError('{"msg":"note","level":"warning"}\n'), undefined);
  assert.equal(crunError(line("executable file `/x` not found in $PATH: No such file or directory"))?.exitCode, 127);
  assert.equal(crunError(line("open executable: Permission denied"))?.exitCode, 126);
  assert.deepEqual(crunError(line('mount "x": Invalid argument')), {
    message: 'mount "x": Invalid argument',
    exitCode: 125,
  });
});

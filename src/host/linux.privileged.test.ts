/** Mounts, device nodes, trusted attributes and namespaces of the real host. Needs root. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { makeDev } from "../tree/node.ts";
import { createLinuxHost } from "./linux.ts";

const { files, mounts } = createLinuxHost();

test("overlay: layers with commas and colons, data-only layers, an upper", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const at = (name: string): string => `${directory.path}/${name}`;
  for (const name of ["lower,a:b/sub", "second", "data:x", "upper", "work", "on"]) files.makeDirectory(at(name));
  files.write(at("lower,a:b/sub/file"), "lower");
  files.write(at("second/other"), "second");
  {
    using mount = mounts.overlay(
      {
        source: "composefs:test",
        lower: [at("lower,a:b"), at("second")],
        data: [at("data:x")],
        upper: at("upper"),
        work: at("work"),
      },
      at("on"),
    );
    assert.deepEqual(files.list(mount.target), ["other", "sub"]);
    files.write(`${mount.target}/sub/file`, "changed");
    const info = mounts.list().find(({ target }) => target === at("on"));
    assert.deepEqual([info?.type, info?.source], ["overlay", "composefs:test"]);
    assert.throws(
      () => files.remove(directory.path),
      (error) => isFailure(error, "busy"),
    );
    assert.ok(files.exists(at("second/other")), "nothing was removed");
  }
  assert.equal(files.readText(at("lower,a:b/sub/file")), "lower");
  assert.equal(files.readText(at("upper/sub/file")), "changed");
});

test("erofs is mounted from its image file and overlaid without an upper", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const at = (name: string): string => `${directory.path}/${name}`;
  for (const name of ["tree/etc", "erofs", "on"]) files.makeDirectory(at(name));
  files.write(at("tree/etc/os-release"), "ID=test\n");
  const made = spawnSync("mkfs.erofs", [at("image"), at("tree")], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  using erofs = mounts.erofs(at("image"), at("erofs"));
  using overlay = mounts.overlay({ source: "composefs:x", lower: [erofs.target], data: [at("tree")] }, at("on"));
  assert.equal(files.readText(`${overlay.target}/etc/os-release`), "ID=test\n");
  assert.throws(
    () => files.write(`${overlay.target}/etc/x`, ""),
    (error) => isFailure(error, "denied"),
  );
});

test("bind, tmpfs and remount", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const at = (name: string): string => `${directory.path}/${name}`;
  for (const name of ["from", "on", "tmp"]) files.makeDirectory(at(name));
  {
    using bound = mounts.bind(at("from"), at("on"), { readOnly: true });
    assert.throws(
      () => files.write(`${bound.target}/x`, ""),
      (error) => isFailure(error, "denied"),
    );
    mounts.remount(bound.target, "read-write");
    files.write(`${bound.target}/x`, "through");
  }
  assert.equal(files.readText(at("from/x")), "through");
  using tmpfs = mounts.tmpfs(at("tmp"), { sizeBytes: 1 << 20, mode: 0o1777 });
  assert.equal(files.lstat(tmpfs.target)?.mode, 0o1777);
  assert.throws(
    () => files.write(`${tmpfs.target}/big`, Buffer.alloc(2 << 20)),
    (error) => isFailure(error, "no-space"),
  );
});

test("an unmount that fails is an error", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const target = `${directory.path}/on`;
  files.makeDirectory(target);
  const mount = mounts.tmpfs(target);
  files.write(`${target}/held`, "");
  {
    using held = files.open(`${target}/held`, "read");
    assert.throws(
      () => mount.unmount(),
      (error) => isFailure(error, "busy"),
    );
    assert.equal(held.path, `${target}/held`);
  }
  mount.unmount();
  assert.throws(
    () => mounts.unmount(target),
    (error) => isFailure(error, "io"),
  );
});

test("device nodes, trusted attributes and owners", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const path = `${directory.path}/null`;
  files.makeNode(path, "char", 0o666, makeDev(0xabc, 0x12345));
  files.setXattr(path, "trusted.overlay.test", Buffer.from([0, 255]));
  files.chown(path, 12, 34);
  const stat = files.lstat(path);
  assert.deepEqual(
    [stat?.kind, stat?.mode, stat?.rdev, stat?.uid, stat?.gid],
    ["char", 0o666, makeDev(0xabc, 0x12345), 12, 34],
  );
  assert.deepEqual([...files.xattrs(path)], [["trusted.overlay.test", Buffer.from([0, 255])]]);
});

test("replace() gives the new file to whom it is for, before anybody sees it", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const path = `${directory.path}/file`;
  files.replace(path, "x", { mode: 0o640, owner: { uid: 12, gid: 34 } });
  const stat = files.lstat(path);
  assert.deepEqual([stat?.mode, stat?.uid, stat?.gid], [0o640, 12, 34]);
});

test("isolate(): mounts afterwards are ours and our children's alone", () => {
  using directory = files.temporaryDirectory("/tmp/berth-mounts-");
  const script = `
    import { createLinuxHost } from ${JSON.stringify(new URL("./linux.ts", import.meta.url).href)};
    const host = createLinuxHost();
    host.mounts.isolate();
    host.mounts.tmpfs(${JSON.stringify(directory.path)});
    host.files.write(${JSON.stringify(`${directory.path}/inside`)}, "");
    const seen = await host.exec(["ls", ${JSON.stringify(directory.path)}], { timeoutMs: 5000 });
    process.stdout.write(seen.stdout);
  `;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(child.stdout, "inside\n", child.stderr);
  assert.deepEqual(files.list(directory.path), []);
});

/** The law of the two hosts: the same calls give the same results, the same errors and the same tree, on the real one and the fake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "./fake.ts";
import type { Files, OpenMode } from "./host.ts";
import { createLinuxHost } from "./linux.ts";

type Operation = (files: Files, at: (path: string) => string) => unknown;

interface Step {
  readonly text: string;
  readonly run: Operation;
}

const PATHS = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/f", "l", "l/a", "d/../a", "\xff\xe9", "missing/x"];
const path = fc.constantFrom(...PATHS);
const content = fc.constantFrom("", "x", "hello world", "y".repeat(50));
const target = fc.constantFrom("a", "d", "d/../b", "nowhere", "l", "d/e/f");
const mode = fc.constantFrom(0o600, 0o644, 0o755, 0o1777, 0o4755);

/** A call on one path. */
function one(verb: string, run: (files: Files, path: string) => unknown): fc.Arbitrary<Step> {
  return path.map((p) => ({ text: `${verb} ${p}`, run: (files, at) => run(files, at(p)) }));
}

/** A call on a path and one more value. */
function two<T>(
  verb: string,
  other: fc.Arbitrary<T>,
  run: (files: Files, path: string, value: T) => unknown,
): fc.Arbitrary<Step> {
  return fc.tuple(path, other).map(([p, value]) => ({
    text: `${verb} ${p} ${String(value).slice(0, 20)}`,
    run: (files, at) => run(files, at(p), value),
  }));
}

/** A call on two paths. */
function pair(verb: string, run: (files: Files, left: string, right: string) => unknown): fc.Arbitrary<Step> {
  return fc
    .tuple(path, path)
    .map(([p, q]) => ({ text: `${verb} ${p} ${q}`, run: (files, at) => run(files, at(p), at(q)) }));
}

const step: fc.Arbitrary<Step> = fc.oneof(
  two("write", content, (f, p, c) => f.write(p, c)),
  two("write", mode, (f, p, m) => f.write(p, "with mode", { mode: m })),
  two("replace", content, (f, p, c) => f.replace(p, c)),
  two("replaceSymlink", target, (f, p, t) => f.replaceSymlink(p, t)),
  two("symlink", target, (f, p, t) => f.symlink(t, p)),
  pair("rename", (f, p, q) => f.rename(p, q)),
  pair("exchange", (f, p, q) => f.exchange(p, q)),
  pair("link", (f, p, q) => f.link(p, q)),
  pair("copy", (f, p, q) => f.copy(p, q)),
  two("mkdir", mode, (f, p, m) => f.makeDirectory(p, { mode: m })),
  one("mkdir", (f, p) => f.makeDirectory(p)),
  one("remove", (f, p) => f.remove(p)),
  two("makeNode", fc.constantFrom("socket" as const, "fifo" as const), (f, p, kind) => f.makeNode(p, kind, 0o640, 0)),
  two("chmod", mode, (f, p, m) => f.chmod(p, m)),
  two("setTimes", fc.integer({ min: -9, max: 2 ** 31 }), (f, p, s) => f.setTimes(p, s, 123_456_789)),
  two("truncate", fc.integer({ min: 0, max: 9000 }), (f, p, n) => f.truncate(p, n)),
  two("setXattr", fc.constantFrom("", "v", "longer"), (f, p, v) => f.setXattr(p, "user.law", Buffer.from(v))),
  one("removeXattr", (f, p) => f.removeXattr(p, "user.law")),
  one("xattrs", (f, p) => [...f.xattrs(p)].filter(([name]) => name.startsWith("user."))),
  one("stat", (f, p) => brief(f, p)),
  one("list", (f, p) => f.list(p)),
  one("listIfAny", (f, p) => f.listIfAny(p)),
  one("exists", (f, p) => f.exists(p)),
  one("read", (f, p) => f.readText(p)),
  one("readIfAny", (f, p) => f.readTextIfAny(p)),
  one("readlink", (f, p) => f.readlink(p)),
  two("open", fc.constantFrom<OpenMode>("read", "write", "create", "append", "read-write"), useOpenFile),
);

test("the fake host's files behave as the real one's", () => {
  const real = createLinuxHost().files;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      using directory = real.temporaryDirectory("/tmp/berth-law-");
      const fake = createFakeHost().files;
      fake.makeDirectory("/law");
      const log: string[] = [];
      for (const { text, run } of steps) {
        const one = outcome(() => run(real, (name) => `${directory.path}/${name}`), directory.path);
        const two = outcome(() => run(fake, (name) => `/law/${name}`), "/law");
        log.push(`${text} -> ${JSON.stringify(one)}`);
        assert.deepEqual(two, one, log.join("\n"));
      }
      assert.deepEqual(snapshot(fake, "/law"), snapshot(real, directory.path), log.join("\n"));
    }),
    { numRuns: 300 },
  );
});

function outcome(work: () => unknown, root: string): unknown {
  try {
    return { value: work() ?? null };
  } catch (error) {
    if (!isFailure(error)) throw error;
    // The names of temporary files differ.
    const message = error.message.replaceAll(root, "").replace(/\.[0-9a-f]{12}\.tmp/, ".tmp");
    return { code: error.code, errno: / (E[A-Z]+),/.exec(message)?.[1] };
  }
}

function brief(files: Files, name: string): unknown {
  const stat = files.lstat(name);
  if (stat === undefined) return undefined;
  const { kind, mode, nlink, rdev } = stat;
  return {
    kind,
    mode,
    nlink,
    rdev,
    size: kind === "directory" ? 0 : stat.size,
    time: stat.mtimeNsec === 123_456_789 && stat.mtimeSec,
  };
}

function useOpenFile(files: Files, name: string, mode: OpenMode): unknown {
  using file = files.open(name, mode);
  const into = Buffer.alloc(8);
  const seen = mode === "write" || mode === "append" ? 0 : file.read(into, 1);
  if (mode !== "read") {
    file.write(Buffer.from("abc"));
    file.write(Buffer.from("de"));
    if (mode !== "append") file.write(Buffer.from("Z"), 10);
    if (mode !== "append") file.writeAll([Buffer.from("pie"), Buffer.alloc(0), Buffer.from("ces")], 8);
    file.sync();
  }
  return { seen, text: into.toString("latin1"), size: file.sizeBytes() };
}

function snapshot(files: Files, root: string): unknown {
  return files.list(root).map((name) => {
    const at = `${root}/${name}`;
    const kind = files.lstat(at)?.kind;
    const inside =
      kind === "directory"
        ? snapshot(files, at)
        : kind === "file"
          ? files.readText(at)
          : kind === "symlink"
            ? files.readlink(at)
            : "";
    return [name, brief(files, at), inside];
  });
}

test("replace() refuses to put a file in the place of a device, on both hosts", () => {
  const linux = createLinuxHost();
  using scratch = linux.files.temporaryDirectory("/tmp/berth-law-");
  for (const [files, directory] of [
    [linux.files, scratch.path],
    [createFakeHost({}).files, "/tmp"],
  ] as const) {
    files.makeNode(`${directory}/pipe`, "fifo", 0o644, 0);
    files.symlink("pipe", `${directory}/link`);
    for (const name of ["pipe", "link"]) {
      assert.throws(
        () => files.replace(`${directory}/${name}`, "x"),
        (error) =>
          isFailure(error, "conflict") && /it is a device, FIFO or socket, wanted a regular file/.test(error.message),
      );
    }
    assert.equal(files.lstat(`${directory}/pipe`)?.kind, "fifo");
    assert.equal(files.lstat(`${directory}/link`)?.kind, "symlink");
  }
});

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
const content = fc.constantFrom("", "x", "hello world", "y".repeat(5000));
const target = fc.constantFrom("a", "d", "../a", "nowhere", "l", "d/e/f");
const mode = fc.constantFrom(0o600, 0o644, 0o755, 0o1777, 0o4755);

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(path, content).map(([p, c]) => ({ text: `write ${p} ${c.length}`, run: (f, at) => f.write(at(p), c) }) as Step),
  fc.tuple(path, content, mode).map(([p, c, m]) => ({ text: `write ${p} ${m}`, run: (f, at) => f.write(at(p), c, { mode: m }) })),
  fc.tuple(path, content).map(([p, c]) => ({ text: `replace ${p}`, run: (f, at) => f.replace(at(p), c) })),
  fc.tuple(path, target).map(([p, t]) => ({ text: `replaceSymlink ${p} ${t}`, run: (f, at) => f.replaceSymlink(at(p), t) })),
  fc.tuple(path, target).map(([p, t]) => ({ text: `symlink ${p} ${t}`, run: (f, at) => f.symlink(t, at(p)) })),
  fc.tuple(path, path).map(([p, q]) => ({ text: `rename ${p} ${q}`, run: (f, at) => f.rename(at(p), at(q)) })),
  fc.tuple(path, path).map(([p, q]) => ({ text: `exchange ${p} ${q}`, run: (f, at) => f.exchange(at(p), at(q)) })),
  fc.tuple(path, path).map(([p, q]) => ({ text: `link ${p} ${q}`, run: (f, at) => f.link(at(p), at(q)) })),
  fc.tuple(path, path).map(([p, q]) => ({ text: `copy ${p} ${q}`, run: (f, at) => f.copy(at(p), at(q)) })),
  fc.tuple(path, mode).map(([p, m]) => ({ text: `mkdir ${p} ${m}`, run: (f, at) => f.makeDirectory(at(p), { mode: m }) })),
  path.map((p) => ({ text: `mkdir ${p}`, run: (f, at) => f.makeDirectory(at(p)) })),
  path.map((p) => ({ text: `remove ${p}`, run: (f, at) => f.remove(at(p)) })),
  path.map((p) => ({ text: `fifo ${p}`, run: (f, at) => f.makeNode(at(p), "socket", 0o640, 0) })),
  fc.tuple(path, mode).map(([p, m]) => ({ text: `chmod ${p}`, run: (f, at) => f.chmod(at(p), m) })),
  fc.tuple(path, fc.integer({ min: -9, max: 2 ** 31 })).map(([p, s]) => ({ text: `setTimes ${p}`, run: (f, at) => f.setTimes(at(p), s, 123_456_789) })),
  fc.tuple(path, fc.integer({ min: 0, max: 9000 })).map(([p, n]) => ({ text: `truncate ${p} ${n}`, run: (f, at) => f.truncate(at(p), n) })),
  path.map((p) => ({ text: `stat ${p}`, run: (f, at) => brief(f, at(p)) })),
  path.map((p) => ({ text: `list ${p}`, run: (f, at) => f.list(at(p)) })),
  path.map((p) => ({ text: `listIfAny ${p}`, run: (f, at) => listIfDirectory(f, at(p)) })),
  path.map((p) => ({ text: `exists ${p}`, run: (f, at) => f.exists(at(p)) })),
  path.map((p) => ({ text: `read ${p}`, run: (f, at) => f.readText(at(p)) })),
  path.map((p) => ({ text: `readIfAny ${p}`, run: (f, at) => f.readTextIfAny(at(p)) })),
  path.map((p) => ({ text: `readlink ${p}`, run: (f, at) => f.readlink(at(p)) })),
  path.map((p) => ({ text: `realpath ${p}`, run: (f, at) => f.realpath(at(p)).slice(at("").length) })),
  fc.tuple(path, fc.constantFrom<OpenMode>("read", "write", "create", "append", "read-write")).map(([p, m]) => ({
    text: `open ${p} ${m}`,
    run: (f, at) => useOpenFile(f, at(p), m),
  })),
);

/** A socket or a fifo cannot be opened as a file; opening them is no part of the law. */
const opens = /^(?:write|replace |copy|truncate|read|open|list)/;

test("the fake host's files behave as the real one's", () => {
  const real = createLinuxHost().files;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      using directory = real.temporaryDirectory("/tmp/berth-law-");
      const fake = createFakeHost().files;
      fake.makeDirectory("/law");
      const log: string[] = [];
      for (const { text, run } of steps) {
        if (opens.test(text) && namesSocket(real, directory.path, text)) continue;
        const one = outcome(() => run(real, (name) => `${directory.path}/${name}`), directory.path);
        const two = outcome(() => run(fake, (name) => `/law/${name}`), "/law");
        log.push(`${text} -> ${JSON.stringify(one)}`);
        assert.deepEqual(two, one, log.join("\n"));
      }
      assert.deepEqual(snapshot(fake, "/law"), snapshot(real, directory.path), log.join("\n"));
    }),
    { numRuns: 150 },
  );
});

function namesSocket(files: Files, root: string, text: string): boolean {
  return text.split(" ").some((name) => PATHS.includes(name) && safeKind(files, `${root}/${name}`) === "socket");
}

function safeKind(files: Files, name: string): string | undefined {
  try {
    return files.stat(name)?.kind;
  } catch {
    return undefined;
  }
}

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
  return { kind, mode, nlink, rdev, size: kind === "directory" ? 0 : stat.size, time: stat.mtimeNsec === 123_456_789 && stat.mtimeSec };
}

function listIfDirectory(files: Files, name: string): unknown {
  const kind = safeKind(files, name);
  return kind === undefined || kind === "directory" ? files.listIfAny(name) : "no directory";
}

function useOpenFile(files: Files, name: string, mode: OpenMode): unknown {
  using file = files.open(name, mode);
  const into = Buffer.alloc(8);
  const seen = mode === "write" || mode === "append" ? 0 : file.read(into, 1);
  if (mode !== "read") {
    file.write(Buffer.from("abc"));
    file.write(Buffer.from("de"));
    if (mode !== "append") file.write(Buffer.from("Z"), 10);
    file.sync();
  }
  return { seen, text: into.toString("latin1"), size: file.sizeBytes() };
}

function snapshot(files: Files, root: string): unknown {
  return files.list(root).map((name) => {
    const at = `${root}/${name}`;
    const kind = files.lstat(at)?.kind;
    const inside = kind === "directory" ? snapshot(files, at)
      : kind === "file" ? files.readText(at)
      : kind === "symlink" ? files.readlink(at)
      : "";
    return [name, brief(files, at), inside];
  });
}

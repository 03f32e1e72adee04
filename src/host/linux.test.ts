import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createLinuxHost } from "./linux.ts";
import { parseMountInfo } from "./linux-mountinfo.ts";
import { formatOverlayData } from "./linux-mounts.ts";

const host = createLinuxHost();
const { files } = host;

test("read() of a missing file names call, path and errno", () => {
  assert.throws(
    () => files.read("/nonexistent/x"),
    (error) => {
      assert.ok(isFailure(error, "not-found"));
      assert.equal(error.message, 'Cannot read "/nonexistent/x": ENOENT, no such file or directory');
      return true;
    },
  );
});

test("version() stays while a file does, and differs when it is written, replaced or dated back", () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  const path = `${directory.path}/file`;
  assert.equal(files.version(path), undefined);
  const seen = new Set<string>();
  const changes = [
    () => files.write(path, "one"),
    () => files.write(path, "longer"),
    () => files.replace(path, "longer"),
    () => files.setTimes(path, 1, 5e8),
  ];
  for (const change of changes) {
    change();
    assert.deepEqual(files.version(path), files.version(path));
    seen.add(JSON.stringify(files.version(path)));
  }
  assert.equal(seen.size, changes.length);
  assert.equal(files.version(path)?.modifiedMs, 1500);
});

test("no call waits at a FIFO for its other end", async () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  const fifo = `${directory.path}/fifo`;
  files.makeNode(fifo, "fifo", 0o644, 0);
  files.write(`${directory.path}/file`, "x");
  const calls: readonly [name: string, call: () => unknown][] = [
    ["read", () => files.read(fifo)],
    ["read", () => files.readText(fifo)],
    ["read", () => files.readTextIfAny(fifo)],
    ["open", () => files.open(fifo, "read")],
    ["open", () => files.open(fifo, "append")],
    ["write", () => files.write(fifo, "x")],
    ["truncate", () => files.truncate(fifo, 0)],
    ["copy", () => files.copy(fifo, `${directory.path}/copy`)],
    ["copy to", () => files.copy(`${directory.path}/file`, fifo)],
  ];
  const message = (call: string): string => `Cannot ${call} "${fifo}": it is a FIFO or socket, wanted a file`;
  for (const [name, call] of calls) assert.throws(call, { code: "bad-input", message: message(name) });
  await assert.rejects(Array.fromAsync(files.readStream(fifo)), { code: "bad-input", message: message("open") });
});

test("read() of a device that never ends is an error, and of one that is empty is empty", () => {
  assert.throws(() => files.read("/dev/zero"), {
    code: "bad-input",
    message: 'Cannot read "/dev/zero": it is no regular file and has no end within 268435456 bytes',
  });
  assert.equal(files.readText("/dev/null"), "");
});

test("a pipe from the shell is read as a file, whole and as a stream", async () => {
  const program = `
    const { createLinuxHost } = await import(${JSON.stringify(new URL("linux.ts", import.meta.url).href)});
    const { files } = createLinuxHost();
    const chunks = await Array.fromAsync(files.readStream("/dev/fd/9"));
    console.log(files.readText("/dev/stdin") + Buffer.concat(chunks));`;
  const script = 'echo whole | "$0" --input-type=module --eval "$1" 9< <(echo stream)';
  const argv = ["bash", "-c", script, process.execPath, program];
  assert.equal((await host.exec(argv, { timeoutMs: 20_000 })).stdout.toString("utf8"), "whole\nstream\n\n");
});

test("a path with a NUL byte is refused", () => {
  assert.throws(
    () => files.exists("/tmp/a\0b"),
    (error) => isFailure(error, "bad-input"),
  );
});

test("names that are not UTF-8 go in and out byte for byte", () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  const name = "\x80\xff\xc3\xa9";
  files.write(`${directory.path}/${name}`, "bytes");
  files.symlink(name, `${directory.path}/link`);
  assert.deepEqual(files.list(directory.path), ["link", name]);
  assert.equal(files.readText(`${directory.path}/link`), "bytes");
  assert.equal(files.readlink(`${directory.path}/link`), name);
});

test("setTimes() keeps nanoseconds and times before the epoch", () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  const path = `${directory.path}/file`;
  files.write(path, "");
  for (const [seconds, nanoseconds] of [
    [-5, 7],
    [0, 0],
    [1_700_000_000, 999_999_999],
  ] as const) {
    files.setTimes(path, seconds, nanoseconds);
    const stat = files.lstat(path);
    assert.deepEqual([stat?.mtimeSec, stat?.mtimeNsec], [seconds, nanoseconds]);
  }
});

test("copy() keeps holes", () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  const [from, to] = [`${directory.path}/from`, `${directory.path}/to`];
  files.write(from, "start");
  files.truncate(from, 50_000_000);
  using file = files.open(from, "read-write");
  file.write(Buffer.from("end"), 49_999_000);
  files.copy(from, to);
  const copied = files.lstat(to);
  assert.equal(copied?.size, 50_000_000);
  assert.ok((copied?.allocatedBytes ?? Infinity) < 1_000_000, `${copied?.allocatedBytes} bytes allocated`);
  assert.ok(files.read(to).equals(files.read(from)));
});

test("copy() of a file onto itself is refused and leaves it whole", () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  files.write(`${directory.path}/a`, "content");
  files.link(`${directory.path}/a`, `${directory.path}/b`);
  assert.throws(
    () => files.copy(`${directory.path}/a`, `${directory.path}/b`),
    (error) => isFailure(error, "io"),
  );
  assert.equal(files.readText(`${directory.path}/a`), "content");
});

test("a lock that another holds is busy, and free after release", () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  files.makeDirectory(`${directory.path}/folder`);
  files.symlink("folder", `${directory.path}/link`);
  for (const path of ["lock", "folder", "link"].map((name) => `${directory.path}/${name}`)) {
    const first = files.lock(path, "exclusive", { wait: false });
    assert.throws(
      () => files.lock(path, "shared", { wait: false }),
      (error) => isFailure(error, "busy"),
    );
    first.release();
    using one = files.lock(path, "shared", { wait: false });
    using two = files.lock(path, "shared", { wait: true });
    assert.ok(one !== two);
  }
});

test("readStream() yields exactly the range", async () => {
  using directory = files.temporaryDirectory("/tmp/berth-host-");
  const content = Buffer.alloc(3_000_000, "0123456789");
  files.write(`${directory.path}/big`, content);
  const chunks: Uint8Array[] = [];
  for await (const chunk of files.readStream(`${directory.path}/big`, { start: 5, end: 2_500_001 })) chunks.push(chunk);
  assert.ok(Buffer.concat(chunks).equals(content.subarray(5, 2_500_001)));
});

test("exec() closes stdin, collects output and carries the end of stderr in its failure", async () => {
  const { stdout } = await host.exec(["sh", "-c", "cat; echo done"], { timeoutMs: 5000 });
  assert.equal(stdout.toString(), "done\n");
  await assert.rejects(host.exec(["sh", "-c", "echo because >&2; exit 3"], { timeoutMs: 5000 }), (error) => {
    assert.ok(isFailure(error, "exec-failed"));
    assert.match(error.message, /exit status 3: because$/);
    return true;
  });
  const unchecked = await host.exec(["sh", "-c", "kill -9 $$"], { timeoutMs: 5000, check: false });
  assert.deepEqual([unchecked.exitCode, unchecked.signal], [137, "SIGKILL"]);
});

test("exec() ends a program that runs too long or is interrupted", async () => {
  await assert.rejects(host.exec(["sleep", "60"], { timeoutMs: 50 }), (error) => isFailure(error, "exec-failed"));
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(host.exec(["sleep", "60"], { timeoutMs: 60_000, signal: controller.signal }), (error) =>
    isFailure(error, "aborted"),
  );
});

test("exec() does not wait for a child of the program that it ended", { timeout: 20_000 }, async () => {
  const lasting = ["sh", "-c", "sleep 30 & echo $!; wait"];
  let pid = 0;
  const onStdout = (chunk: Uint8Array): void => void (pid = Number(Buffer.from(chunk).toString()));
  try {
    await assert.rejects(host.exec(lasting, { timeoutMs: 200, onStdout }), (error) => isFailure(error, "exec-failed"));
    assert.equal(host.kill(pid, 0), true, "the child has not ended by itself");
  } finally {
    host.kill(pid, "SIGKILL");
  }
});

test("exec() and spawn() of a missing program name it", async () => {
  await assert.rejects(host.exec(["no-such-program"], { timeoutMs: 1000 }), (error) =>
    isFailure(error, "missing-tool"),
  );
  assert.throws(
    () => host.spawn(["no-such-program"], {}),
    (error) => isFailure(error, "missing-tool"),
  );
});

test("exec() streams input, and output to handlers", async () => {
  let output = "";
  async function* input(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 100; i += 1) yield Buffer.alloc(10_000, "x");
  }
  await host.exec(["wc", "-c"], { timeoutMs: 5000, stdin: input(), onStdout: (chunk) => (output += chunk) });
  assert.equal(output.trim(), "1000000");
  // A program that does not read its input is no error.
  await host.exec(["true"], { timeoutMs: 5000, stdin: input() });
});

test("spawn() gives streams and waits", async () => {
  const child = host.spawn(["sh", "-c", "read x; echo got $x; exit 5"], { stdin: "pipe", stdout: "pipe" });
  await child.write("this\n");
  child.endInput();
  let text = "";
  for await (const chunk of child.stdout ?? []) text += Buffer.from(chunk).toString();
  assert.equal(text, "got this\n");
  assert.deepEqual(await child.ended, { exitCode: 5, signal: undefined });
});

test("kill() says whether the process is there", () => {
  assert.equal(host.kill(process.pid, 0), true);
  assert.equal(host.kill(2 ** 22 - 3, 0), false);
});

test("the clock's sleep can be interrupted", async () => {
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(host.clock.sleep(60_000, controller.signal), (error) => isFailure(error, "aborted"));
});

test("parseMountInfo() undoes octal escapes and optional fields", () => {
  const text = "29 1 8:1 /root /mnt/a\\040b rw,noatime shared:1 master:2 - ext4 /dev/sd\\134a rw,errors=x\nnonsense\n";
  assert.deepEqual(parseMountInfo(text), [
    { source: "/dev/sd\\a", target: "/mnt/a b", type: "ext4", options: "rw,noatime", superOptions: "rw,errors=x" },
  ]);
});

test("formatOverlayData() escapes separators and marks data-only layers", () => {
  assert.equal(
    formatOverlayData({ source: "x", lower: ["/a:b", "/c"], data: ["/d,e"], upper: "/u", work: "/w", verity: true }),
    "lowerdir=/a\\:b:/c::/d\\,e,upperdir=/u,workdir=/w,metacopy=on,redirect_dir=on,verity=require",
  );
  assert.equal(formatOverlayData({ source: "x", lower: ["/a"] }), "lowerdir=/a");
});

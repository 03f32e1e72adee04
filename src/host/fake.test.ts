import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { createFakeHost } from "./fake.ts";
import { Crash, isCrash } from "./fake-world.ts";

test("after a crash every call is refused until reboot()", () => {
  const host = createFakeHost({ crashAt: 3, files: { "/a": "old" } });
  host.files.write("/b", "one");
  assert.throws(() => host.files.write("/c", "two"), Crash);
  assert.throws(() => host.files.read("/a"), Crash);
  assert.ok(host.crashed);
  host.reboot();
  assert.equal(host.files.readText("/a"), "old");
  assert.equal(host.files.exists("/b"), false);
});

test("replace() shows the old content or the new at every crash point", () => {
  const seen = new Set<string>();
  for (const when of ["before", "after"] as const) {
    for (const durability of ["optimistic", "pessimistic", "seeded"] as const) {
      for (let at = 1; ; at += 1) {
        const host = createFakeHost({ files: { "/d/f": "old" }, crashAt: at, crashWhen: when, durability, seed: at });
        const crashed = crashes(() => host.files.replace("/d/f", "new"));
        host.reboot();
        const content = host.files.readText("/d/f");
        assert.ok(content === "old" || content === "new", `${when} ${at} ${durability}: ${JSON.stringify(content)}`);
        seen.add(content);
        if (!crashed) {
          assert.equal(content, "new");
          break;
        }
      }
    }
  }
  assert.deepEqual([...seen].sort(), ["new", "old"]);
});

test("a rename of a file that was not synced may leave it empty", () => {
  const host = createFakeHost({ files: { "/f": "old" } });
  host.files.write("/f.tmp", "new");
  host.files.rename("/f.tmp", "/f");
  host.files.sync("/");
  host.reboot();
  assert.equal(host.files.readText("/f"), "");
});

test("a rename survives only when its directory was synced", () => {
  for (const synced of [false, true]) {
    const host = createFakeHost({ files: { "/d/f": "old" } });
    host.files.write("/d/tmp", "new");
    host.files.sync("/d/tmp");
    host.files.rename("/d/tmp", "/d/f");
    if (synced) host.files.sync("/d");
    host.reboot();
    assert.equal(host.files.readText("/d/f"), synced ? "new" : "old");
  }
});

test("exchange() is atomic: a crash shows both names old or both new", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const host = createFakeHost({ files: { "/x": "left", "/y": "right" }, durability: "seeded", seed });
    host.files.exchange("/x", "/y");
    host.reboot();
    const pair = [host.files.readText("/x"), host.files.readText("/y")];
    assert.ok(["left,right", "right,left"].includes(pair.join()), pair.join());
  }
});

test("syncFileSystem() makes everything before it durable", () => {
  const host = createFakeHost();
  host.files.makeDirectory("/a/b");
  host.files.write("/a/b/c", "kept");
  host.files.chmod("/a/b/c", 0o600);
  host.files.syncFileSystem("/a");
  host.files.write("/a/b/c", "lost");
  host.files.remove("/a/b/c");
  host.reboot();
  assert.equal(host.files.readText("/a/b/c"), "kept");
  assert.equal(host.files.lstat("/a/b/c")?.mode, 0o600);
});

test("volatile directories are empty after a reboot", () => {
  const host = createFakeHost();
  host.files.makeDirectory("/run/composefs");
  host.files.write("/run/composefs/staged", "x");
  host.files.syncFileSystem("/");
  host.reboot();
  assert.deepEqual(host.files.list("/run"), []);
});

test("a test that leaves something mounted or locked fails", () => {
  const host = createFakeHost({ files: { "/m": { directory: true } } });
  const mount = host.mounts.tmpfs("/m");
  assert.throws(() => host.assertClean(), /left file systems mounted/);
  mount.unmount();
  const lock = host.files.lock("/l", "exclusive", { wait: false });
  assert.throws(() => host.assertClean(), /left locks held/);
  assert.throws(
    () => host.files.lock("/l", "shared", { wait: false }),
    (error) => isFailure(error, "busy"),
  );
  lock.release();
  host.assertClean();
  const checks: (() => void)[] = [];
  createFakeHost({ test: { after: (check) => void checks.push(check) } });
  assert.equal(checks.length, 1);
});

test("mounts are walked through; read-only ones refuse changes; remove() does not cross them", () => {
  using host = createFakeHost({
    files: { "/src/etc/passwd": "root", "/top/m": { directory: true }, "/image": "bytes" },
    mountContent: ({ type, source }) => (type === "erofs" && source === "/image" ? "/src" : undefined),
  });
  using erofs = host.mounts.erofs("/image", "/top/m");
  assert.equal(host.files.readText("/top/m/etc/passwd"), "root");
  assert.equal(host.files.realpath("/top/m/etc/../.."), "/top");
  assert.throws(
    () => host.files.write("/top/m/etc/new", ""),
    (error) => isFailure(error, "denied"),
  );
  assert.throws(
    () => host.files.remove("/top"),
    (error) => isFailure(error, "busy"),
  );
  assert.throws(
    () => host.files.rename("/top/m/etc", "/elsewhere"),
    (error) => isFailure(error, "io"),
  );
  host.mounts.remount(erofs.target, "read-write");
  host.files.write("/top/m/etc/new", "");
  assert.ok(host.files.exists("/src/etc/new"));
  assert.deepEqual(
    host.mounts.list().map(({ target, type }) => [target, type]),
    [
      ["/", "fake"],
      ["/top/m", "erofs"],
    ],
  );
});

test("a disk that is full says no-space and changes nothing", () => {
  const host = createFakeHost({ totalBytes: 1000, files: { "/a": "x".repeat(600) } });
  assert.throws(
    () => host.files.write("/a", "y".repeat(1200)),
    (error) => isFailure(error, "no-space"),
  );
  assert.equal(host.files.readText("/a")[0], "x");
  assert.equal(host.files.space("/").freeBytes, 400);
});

test("onCall injects a fault in place of a call", () => {
  const host = createFakeHost({
    onCall: ({ call, path }) => {
      if (call === "rename") throw new Failure("io", `Cannot rename ${path}: broken`);
    },
  });
  assert.throws(
    () => host.files.replace("/a", "x"),
    (error) => isFailure(error, "io"),
  );
  assert.deepEqual(host.files.list("/"), ["run", "tmp"]);
});

test("programs are handlers, recorded, and unknown ones are missing", async () => {
  const host = createFakeHost({
    programs: {
      mkfs: ({ argv, stdin }) => ({ stdout: `${argv.length} ${stdin.toString()}` }),
      fails: () => ({ exitCode: 2, stderr: "why\n" }),
    },
  });
  const { stdout } = await host.exec(["mkfs", "-q"], { timeoutMs: 1, stdin: "in" });
  assert.equal(stdout.toString(), "2 in");
  await assert.rejects(host.exec(["fails"], { timeoutMs: 1 }), /exit status 2: why/);
  await assert.rejects(host.exec(["other"], { timeoutMs: 1 }), (error) => isFailure(error, "missing-tool"));
  assert.equal(host.which("other"), undefined);
  assert.deepEqual(host.executed, [["mkfs", "-q"], ["fails"]]);
  const child = host.spawn(["mkfs"], { stdin: "pipe", stdout: "pipe" });
  await child.write("later");
  child.endInput();
  let text = "";
  for await (const chunk of child.stdout ?? []) text += Buffer.from(chunk).toString();
  assert.equal(text, "1 later");
});

test("servers of the host answer in process, the test answers for the rest", async () => {
  const host = createFakeHost({
    network: { respond: async (request) => (request.url.includes("known") ? new Response("outside") : undefined) },
  });
  const server = await host.network.serve(
    async (request) => new Response(await collectBytes(request.body ?? streamOf())),
    {
      host: "127.0.0.1",
      port: 0,
    },
  );
  const ask = async (url: string, body?: Uint8Array): Promise<string> => {
    const response = await host.network.request({
      method: body === undefined ? "GET" : "PUT",
      url,
      ...(body && { body }),
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  assert.equal(await ask(`http://127.0.0.1:${server.port}/`, Buffer.from("echo")), "echo");
  assert.equal(await ask("https://known.example/"), "outside");
  await server.close();
  await assert.rejects(ask(`http://127.0.0.1:${server.port}/`), (error) => isFailure(error, "network"));
});

test("the clock stands still, sleeping moves it, randomness is the seed's", async () => {
  const [one, two] = [createFakeHost({ seed: 7 }), createFakeHost({ seed: 7 })];
  const start = one.clock.now();
  await one.clock.sleep(5000);
  assert.equal(one.clock.now() - start, 5000);
  assert.deepEqual(one.random(40), two.random(40));
});

test("fs-verity digests are the kernel's", () => {
  const host = createFakeHost({ verity: true, files: { "/empty": "" } });
  assert.equal(host.files.enableVerity("/empty", "sha256"), "enabled");
  assert.equal(host.files.measureVerity("/empty"), "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95");
  assert.throws(
    () => host.files.write("/empty", "x"),
    (error) => isFailure(error, "denied"),
  );
});

test("isCrash() sees through disposal that was refused too", () => {
  const host = createFakeHost({ files: { "/m": { directory: true } }, crashAt: 2 });
  assert.ok(
    crashes(() => {
      using mount = host.mounts.tmpfs("/m");
      host.files.write(`${mount.target}/x`, "");
    }),
  );
});

function crashes(work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (!isCrash(error)) throw error;
    return true;
  }
}

/**
 * Real builds: the program itself, crun, overlay mounts, a store of its own. The base is busybox and little else: no /proc, no
 * /etc/resolv.conf, so that mount points have to be made and must not stay.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { byteNameToText, collectBytes, textToByteName } from "../core/bytes.ts";
import { readTar } from "../format/tar/read.ts";
import { type TarInput, writeTar } from "../format/tar/write.ts";
import { createLinuxHost } from "../host/linux.ts";
import type { Host } from "../host/host.ts";
import { encodingOf } from "../store/layer-encoding.ts";
import { exportLayout } from "../store/oci-layout.ts";
import { openWorkstationStore } from "../store/workstation.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { NO_XATTRS, type Stat } from "../tree/node.ts";
import { assembleImage } from "./assemble.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "berth-build-test-"));
const storeRoot = path.join(scratch, "store");
const main = path.resolve(import.meta.dirname, "../cli/main.ts");
const linux = createLinuxHost();
const host: Host = { ...linux, env: { ...linux.env, BERTH_STORE: storeRoot } };

const APPLETS = [
  "sh",
  "cat",
  "chmod",
  "chown",
  "cp",
  "dd",
  "echo",
  "env",
  "find",
  "grep",
  "id",
  "ip",
  "ln",
  "ls",
  "mkdir",
  "mknod",
  "mv",
  "pwd",
  "rm",
  "sleep",
  "stat",
  "tar",
  "test",
  "touch",
  "true",
  "wget",
];

before(async () => {
  using store = openWorkstationStore(host);
  await addBase(store);
});
after(() => rmSync(scratch, { recursive: true, force: true }));

function statOf(mode: number, more: Partial<Stat> = {}): Stat {
  return { mode, uid: 0, gid: 0, mtimeSec: 1_600_000_000, mtimeNsec: 0, xattrs: NO_XATTRS, ...more };
}

async function addBase(store: Store): Promise<void> {
  const busybox = readFileSync("/usr/bin/busybox");
  const file = (name: string, text: string | Buffer, stat: Stat): TarInput => {
    const content = Buffer.from(text);
    return { member: { kind: "file", path: textToByteName(name), stat, size: content.length }, content };
  };
  const directory = (name: string, mode = 0o755): TarInput => ({
    member: { kind: "directory", path: textToByteName(name), stat: statOf(mode) },
  });
  const attributed = statOf(0o644, { xattrs: new Map([["user.berth", Buffer.from("kept")]]) });
  const layer = await store.addLayer(
    writeTar([
      directory("bin"),
      file("bin/busybox", busybox, statOf(0o755)),
      ...APPLETS.map(
        (name): TarInput => ({
          member: {
            kind: "symlink",
            path: textToByteName(`bin/${name}`),
            stat: statOf(0o777),
            target: textToByteName("busybox"),
          },
        }),
      ),
      directory("data"),
      file("data/big", Buffer.alloc(100_000, "x"), statOf(0o644)),
      file("data/attributed", "a".repeat(200), attributed),
      directory("data/tree"),
      file("data/tree/a", "a".repeat(100), statOf(0o600)),
      file("data/tree/b", "b", statOf(0o644)),
      directory("etc"),
      file("etc/group", "root:x:0:\nweb:x:33:\n", statOf(0o644)),
      file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n", statOf(0o644)),
      directory("tmp", 0o1777),
    ]),
  );
  const image = store.saveImage(
    assembleImage({
      created: "2020-01-01T00:00:00Z",
      author: undefined,
      architecture: host.architecture,
      variant: undefined,
      config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh"], Labels: { base: "yes" } },
      layers: [layer],
      history: [{ created: "2020-01-01T00:00:00Z", created_by: "test" }],
      annotations: new Map(),
    }),
  );
  store.tag("localhost/tiny:1", image.digest);
}

interface Built {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout. */
  readonly id: string;
}

let count = 0;

/** A context directory with these files. */
function context(files: Readonly<Record<string, string | Buffer>>): string {
  count += 1;
  const directory = path.join(scratch, `context-${count}`);
  mkdirSync(directory);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), content);
    utimesSync(path.join(directory, name), 1_650_000_000, 1_650_000_000);
  }
  return directory;
}

function berth(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Built {
  const result = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", main, ...args], {
    cwd: options.cwd ?? scratch,
    env: {
      ...process.env,
      BERTH_STORE: storeRoot,
      NODE_COMPILE_CACHE: path.join(scratch, "compile-cache"),
      ...options.env,
    },
    encoding: "utf8",
    ...(options.input !== undefined && { input: options.input }),
  });
  return { ...result, id: result.stdout.trim().split("\n").at(-1) ?? "" };
}

/** Builds and expects success. */
function build(
  containerfile: string,
  files: Readonly<Record<string, string | Buffer>> = {},
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Built {
  const directory = context({ Containerfile: containerfile, ...files });
  const built = berth(["build", ...args, directory], { env });
  assert.equal(built.status, 0, built.stderr + built.stdout);
  return built;
}

function withStore<T>(work: (store: Store) => T): T {
  using store = openWorkstationStore(host);
  return work(store);
}

function imageOf(id: string): StoredImage {
  const image = withStore((store) => store.image(id));
  assert.ok(image !== undefined, `image ${id}`);
  return image;
}

type Listing = Readonly<Record<string, string>>;

/** Members of the layers that a build put on its base: `path` → what it is. */
async function newLayers(id: string, baseLayers = 1): Promise<Listing[]> {
  using store = openWorkstationStore(host);
  const image = store.image(id);
  const listings: Listing[] = [];
  for (const diffId of image?.config.rootfs.diff_ids.slice(baseLayers) ?? []) {
    const listing: Record<string, string> = {};
    for await (const { member, content } of readTar(store.readLayer(diffId))) {
      const bytes = await collectBytes(content);
      const what =
        member.kind === "file" ? (bytes.length > 60 ? `${bytes.length} bytes` : bytes.toString()) : member.kind;
      const target = member.kind === "symlink" || member.kind === "hardlink" ? ` ${member.target}` : "";
      listing[byteNameToText(member.path)] =
        `${member.stat.mode.toString(8)} ${member.stat.uid}:${member.stat.gid} ${what}${target}`;
    }
    listings.push(listing);
  }
  return listings;
}

test("steps, layers, configuration and history of a build", async () => {
  const built = build(
    'FROM tiny:1\nARG V=1\nENV A=$V\nCOPY page /srv/www/page\nRUN echo "$A $V" > /out && echo to-stdout && echo to-stderr >&2\nWORKDIR /w\nUSER web\nRUN id -u > /tmp/uid && pwd >> /tmp/uid\nCMD ["x"]\n',
    { page: "hello" },
    ["-t", "one:2", "-t", "localhost/two"],
  );
  assert.match(built.stdout, /^STEP 1\/9: FROM tiny:1\nSTEP 2\/9: ARG V=1\n--> [0-9a-f]{12}\n/);
  assert.match(built.stdout, /\nSTEP 5\/9: RUN echo .*\nto-stdout\n--> [0-9a-f]{12}\n/);
  assert.match(built.stderr, /^to-stderr$/m);
  assert.match(
    built.stdout,
    new RegExp(
      `\nCOMMIT localhost/one:2\n--> ${built.id.slice(0, 12)}\nSuccessfully tagged localhost/one:2\nSuccessfully tagged localhost/two:latest\n${built.id}\n$`,
    ),
  );
  assert.deepEqual(await newLayers(built.id), [
    { srv: "755 0:0 directory", "srv/www": "755 0:0 directory", "srv/www/page": "644 0:0 hello" },
    { out: "644 0:0 1 1\n" },
    { w: "755 0:0 directory" },
    { tmp: "1777 0:0 directory", "tmp/uid": "644 33:33 33\n/w\n" },
  ]);
  const { config, manifest, names } = imageOf(built.id);
  assert.deepEqual(names, ["localhost/one:2", "localhost/two:latest"]);
  assert.deepEqual(config.config, {
    Env: ["PATH=/bin", "A=1"],
    Cmd: ["x"],
    Labels: { base: "yes" },
    WorkingDir: "/w",
    User: "web",
  });
  assert.deepEqual(
    config.history.map((entry) => entry.empty_layer ?? false),
    [false, true, true, false, false, false, true, false, true],
  );
  assert.match(
    config.history[3]?.created_by ?? "",
    /^\/bin\/sh -c #\(nop\) COPY file:[0-9a-f]{64} in \/srv\/www\/page $/,
  );
  assert.equal(
    config.history[4]?.created_by,
    '|1 V=1 /bin/sh -c echo "$A $V" > /out && echo to-stdout && echo to-stderr >&2',
  );
  const base = withStore((store) => store.image("localhost/tiny:1"));
  assert.deepEqual(manifest.annotations, {
    "org.opencontainers.image.base.digest": base?.digest,
    "org.opencontainers.image.base.name": "localhost/tiny:1",
  });
});

test("a RUN that changes nothing makes no layer, and leaves no mount points", async () => {
  const built = build(
    "FROM tiny:1\nRUN --mount=type=tmpfs,target=/mnt/deep/x touch /mnt/deep/x/gone && cat /etc/resolv.conf /proc/1/comm > /run/y\nRUN touch /new\n",
  );
  assert.deepEqual(await newLayers(built.id), [{ new: "644 0:0 " }]);
});

test("deleted, replaced, renamed, linked, chmodded and attributed files", async () => {
  const built = build(`FROM tiny:1
RUN rm /bin/ls && rm -r /data/tree && mkdir /data/tree && echo n > /data/tree/n
RUN mv /data /moved
RUN echo x > /one && ln /one /two && chmod 600 /moved/big /moved/attributed && ln -s one /link && mknod /pipe p
RUN rm -r /moved && echo f > /moved
`);
  const [first = {}, second = {}, third = {}, fourth = {}] = await newLayers(built.id);
  assert.deepEqual(first, {
    bin: "755 0:0 directory",
    "bin/.wh.ls": "0 0:0 ",
    data: "755 0:0 directory",
    "data/tree": "755 0:0 directory",
    "data/tree/.wh..wh..opq": "0 0:0 ",
    "data/tree/n": "644 0:0 n\n",
  });
  assert.deepEqual(second, {
    ".wh.data": "0 0:0 ",
    moved: "755 0:0 directory",
    "moved/attributed": "644 0:0 200 bytes",
    "moved/big": "644 0:0 100000 bytes",
    "moved/tree": "755 0:0 directory",
    "moved/tree/n": "644 0:0 n\n",
  });
  assert.deepEqual(third, {
    link: "777 0:0 symlink one",
    moved: "755 0:0 directory",
    "moved/attributed": "600 0:0 200 bytes",
    "moved/big": "600 0:0 100000 bytes",
    one: "644 0:0 x\n",
    pipe: "644 0:0 fifo",
    two: "644 0:0 hardlink one",
  });
  assert.deepEqual(fourth, { moved: "644 0:0 f\n" });
  const xattrs: string[] = [];
  using store = openWorkstationStore(host);
  for await (const { member } of readTar(
    store.readLayer(imageOf(built.id).config.rootfs.diff_ids[3] ?? ("" as never)),
  )) {
    if (member.path === "moved/attributed")
      xattrs.push(...[...member.stat.xattrs].map(([name, value]) => `${name}=${Buffer.from(value).toString()}`));
  }
  assert.deepEqual(xattrs, ["user.berth=kept"]);
});

test("RUN forms: exec, heredoc, script, SHELL; ENV in the process", async () => {
  const built = build(`FROM tiny:1
RUN ["/bin/touch", "/$HOME"]
RUN <<EOF
echo a > /a
echo b >> /a
EOF
RUN <<EOF
#!/bin/cat
as a script
EOF
RUN cat <<EOF > /c
$PATH
EOF
SHELL ["/bin/sh", "-ec"]
RUN echo d > /d
`);
  assert.match(built.stdout, /#!\/bin\/cat\nas a script\n/);
  assert.deepEqual(await newLayers(built.id), [
    { $HOME: "644 0:0 " },
    { a: "644 0:0 a\nb\n" },
    { c: "644 0:0 /bin\n" },
    { d: "644 0:0 d\n" },
  ]);
});

test("an unchanged build comes from the cache and is the same image; times do not matter, content does", () => {
  const directory = context({
    Containerfile: "FROM tiny:1\nRUN echo cache-test > /a\nCOPY page /b\nRUN cat /b > /c\nLABEL x=y\n",
    page: "1",
  });
  const run = (...args: string[]): Built => {
    const built = berth(["build", ...args, directory]);
    assert.equal(built.status, 0, built.stderr);
    return built;
  };
  const hits = (built: Built): number => built.stdout.match(/^--> Using cache [0-9a-f]{64}$/gm)?.length ?? 0;
  const first = run();
  assert.equal(hits(first), 0);
  utimesSync(path.join(directory, "page"), 5, 5);
  const second = run();
  assert.deepEqual([hits(second), second.id], [4, first.id]);
  writeFileSync(path.join(directory, "page"), "2");
  assert.equal(hits(run()), 1);
  chmodSync(path.join(directory, "page"), 0o755);
  assert.equal(hits(run()), 1);
  const fresh = run("--no-cache");
  assert.equal(hits(fresh), 0);
  assert.notEqual(fresh.id, first.id);
  assert.match(run("-q").stdout, /^[0-9a-f]{64}\n$/);
});

test("a build argument is part of the key where it is declared", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN echo before > /x\nARG V\nRUN echo $V > /y\n" });
  const first = berth(["build", "--build-arg", "V=1", directory]);
  const second = berth(["build", "--build-arg", "V=2", directory]);
  assert.notEqual(first.id, second.id);
  assert.equal(second.stdout.match(/Using cache/g)?.length, 2);
  assert.equal(berth(["build", "--build-arg", "V=1", directory]).id, first.id);
  assert.match(
    berth(["build", "--build-arg", "V=1", "--build-arg", "NO=1", directory]).stderr,
    /one or more build args were not consumed: \[NO\]/,
  );
});

test("a layer that left the store is made again", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN echo gone > /gone\n" });
  const first = berth(["build", directory]);
  {
    using store = openWorkstationStore(host);
    assert.ok(store.removeImage(imageOf(first.id).digest));
    store.gc({ dryRun: false });
  }
  const second = berth(["build", directory]);
  assert.equal(second.status, 0, second.stderr);
  assert.doesNotMatch(second.stdout, /Using cache/);
});

test("secrets reach the command and nothing else", () => {
  const secret = "correct-horse-battery-staple";
  const directory = context({
    Containerfile: `FROM tiny:1
RUN --mount=type=secret,id=s,uid=33,mode=0440 --mount=type=secret,id=s,env=S test "$(cat /run/secrets/s)" = "$S" && stat -c %a:%u /run/secrets/s && touch /done
RUN test ! -e /run/secrets && test -z "$S"
`,
  });
  writeFileSync(path.join(scratch, "secret"), secret);
  const built = berth(["build", "--secret", `id=s,src=${scratch}/secret`, directory]);
  assert.equal(built.status, 0, built.stderr + built.stdout);
  assert.match(built.stdout, /^440:33$/m);
  assert.equal(spawnSync("grep", ["-rlF", secret, storeRoot], { encoding: "utf8" }).stdout, "");
  assert.ok(!imageOf(built.id).configBytes.includes(secret));
});

test("cache mounts keep their content between builds and out of layers; bind mounts drop writes; tmpfs is empty", async () => {
  const text = (n: number): string => `FROM tiny:1
RUN --mount=type=cache,target=/cache,id=test-cache,sharing=locked echo ${n} >> /cache/log && cat /cache/log > /seen-${n}
RUN --mount=target=/src,source=sub,rw --mount=type=tmpfs,target=/t,size=1m echo changed > /src/file && touch /src/new /t/x && cat /src/file > /bound-${n}
RUN --mount=target=/src cat /src/sub/file > /again-${n} && ! touch /src/sub/x && test ! -e /src/hidden
`;
  const files = { "sub/file": "original", hidden: "h", ".containerignore": "hidden" };
  build(text(1), files);
  const layers = await newLayers(build(text(2), files).id);
  assert.deepEqual(layers, [
    { "seen-2": "644 0:0 1\n2\n" },
    { "bound-2": "644 0:0 changed\n" },
    { "again-2": "644 0:0 original" },
  ]);
});

test("stages: FROM a stage, COPY --from stage and image, FROM scratch, --target", async () => {
  const text = `FROM tiny:1 AS first
RUN mkdir -p /out/d && echo f > /out/d/f && ln -s f /out/d/l && chown 33:33 /out/d/f
FROM first AS second
RUN cat /out/d/f > /second
FROM tiny:1 AS never
RUN false
FROM scratch
COPY --from=first /out /
COPY --from=second /second /
COPY --from=tiny:1 /data/tree/ /tree/
`;
  const built = build(text);
  assert.match(built.stdout, /^\[1\/3\] STEP 1\/2: FROM tiny:1 AS first$/m);
  assert.match(built.stdout, /^\[3\/3\] STEP 4\/4: COPY --from=tiny:1/m);
  assert.doesNotMatch(built.stdout, /never/);
  assert.deepEqual(await newLayers(built.id, 0), [
    { d: "755 0:0 directory", "d/f": "644 33:33 f\n", "d/l": "777 0:0 symlink f" },
    { second: "644 0:0 f\n" },
    { tree: "755 0:0 directory", "tree/a": "600 0:0 100 bytes", "tree/b": "644 0:0 b" },
  ]);
  assert.equal(imageOf(built.id).manifest.annotations, undefined);
  assert.equal((await newLayers(build(text, {}, ["--target", "first"]).id)).length, 1);
});

test("ADD unpacks archives by their content, COPY does not; a packed file that is no archive stays", async () => {
  const source = context({ "in/one": "1", "in/dir/two": "2" });
  chmodSync(path.join(source, "in/dir"), 0o755);
  const tar = execFileSync("tar", [
    "--sort=name",
    "--owner=5",
    "--group=6",
    "-C",
    path.join(source, "in"),
    "-cf",
    "-",
    ".",
  ]);
  const xz = execFileSync("xz", ["-c"], { input: tar });
  const bz = execFileSync("bzip2", ["-c"], { input: tar });
  const built = build(
    "FROM tiny:1\nADD plain /p/\nADD a.tgz /g\nADD a.txz /x/\nADD a.tbz /b/\nCOPY a.tgz /c\nADD text.gz /t/\nADD --chown=7:8 plain /bin/../q/\n",
    { plain: tar, "a.tgz": gzipSync(tar), "a.txz": xz, "a.tbz": bz, "text.gz": gzipSync("no archive") },
  );
  const [plain, gzip, xzip, bzip, copied, text, owned] = await newLayers(built.id);
  const unpacked = (name: string, owner = "5:6"): Listing => ({
    [name]: "755 0:0 directory",
    [`${name}/dir`]: `755 ${owner} directory`,
    [`${name}/dir/two`]: `644 ${owner} 2`,
    [`${name}/one`]: `644 ${owner} 1`,
  });
  assert.deepEqual(plain, unpacked("p"));
  assert.deepEqual(gzip, unpacked("g"));
  assert.deepEqual(xzip, unpacked("x"));
  assert.deepEqual(bzip, unpacked("b"));
  assert.deepEqual(Object.keys(copied ?? {}), ["c"]);
  assert.deepEqual(Object.keys(text ?? {}), ["t", "t/text.gz"]);
  assert.deepEqual(owned, unpacked("q", "7:8"));
});

test("SOURCE_DATE_EPOCH: two builds without cache are one image, nothing in it is newer", async () => {
  const text = "FROM tiny:1\nCOPY page /page\nRUN echo x > /etc/x && mkdir /d\nWORKDIR /w\nENV A=1\n";
  const env = { SOURCE_DATE_EPOCH: "1640000000" };
  const first = build(text, { page: "p" }, ["--no-cache"], env);
  const second = build(text, { page: "p" }, ["--no-cache"], env);
  assert.equal(first.id, second.id);
  const { config } = imageOf(first.id);
  assert.equal(config.created, "2021-12-20T11:33:20Z");
  using store = openWorkstationStore(host);
  for (const diffId of config.rootfs.diff_ids.slice(1)) {
    for await (const { member } of readTar(store.readLayer(diffId)))
      assert.ok(member.stat.mtimeSec <= 1_640_000_000, member.path);
  }
});

test("a failing RUN says where and leaves nothing behind", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN echo said && exit 7\n" });
  const imagesBefore = withStore((store) => store.images().length);
  const built = berth(["build", "-t", "failed", directory]);
  assert.equal(built.status, 1);
  assert.match(built.stdout, /said/);
  assert.match(
    built.stderr,
    /^error: Cannot build "Containerfile": line 2: RUN echo said && exit 7: the command ended with exit status 7$/m,
  );
  assert.equal(
    withStore((store) => store.images().length),
    imagesBefore,
  );
  assert.deepEqual(readdirSync(path.join(storeRoot, "cache/scratch")), []);
  assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(scratch));
  assert.match(berth(["build", "-q", directory]).stderr, /^said$/m);
});

test("errors of the file come before the first step, with the line and a caret", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN touch /x\nCOPY --form=a b c\n" });
  const built = berth(["build", directory]);
  assert.equal(built.status, 1);
  assert.equal(built.stdout, "");
  assert.equal(
    built.stderr,
    '  3 | COPY --form=a b c\n    |      ^\nerror: Cannot build "Containerfile": line 3, column 6: unknown flag --form of COPY\nhint: did you mean --from?\n',
  );
});

test("wrong words are refused before anything is done", () => {
  const directory = context({ Containerfile: "FROM tiny:1\n" });
  const refusals: readonly (readonly [args: readonly string[], status: number, message: RegExp])[] = [
    [[path.join(scratch, "nosuch")], 1, /Cannot build in context ".*nosuch": there is no such directory/],
    [[context({})], 1, /has neither a Containerfile nor a Dockerfile/],
    [["-f", "nosuch", directory], 1, /Cannot build "nosuch": there is no such file/],
    [["-t", "UPPER", directory], 2, /Cannot name the image "UPPER"/],
    [["--target", "x", directory], 2, /there is no stage "x"/],
    [["--secret", "id=a,src=/nosuch", directory], 2, /there is no file "\/nosuch"/],
    [["--secret", "src=/x", directory], 2, /it has no id/],
    [["--ignorefile", "/nosuch", directory], 1, /Cannot read ignore file "\/nosuch"/],
    [["--source-date-epoch", "yesterday", directory], 2, /SOURCE_DATE_EPOCH "yesterday"/],
    [["--network", "bridge", directory], 2, /--network/],
  ];
  for (const [args, status, message] of refusals) {
    const built = berth(["build", ...args]);
    assert.equal(built.status, status, `${args.join(" ")}: ${built.stderr}`);
    assert.match(built.stderr, message);
    assert.equal(built.stdout, "");
  }
});

test("standard input, iidfile, labels, annotations, dry run", () => {
  const iid = path.join(scratch, "iid");
  const built = berth(
    ["build", "-f", "-", "--iidfile", iid, "--label", "l=1", "--annotation", "org.example.a=b", context({ page: "x" })],
    {
      input: "FROM tiny:1\nCOPY page /from-stdin\n",
    },
  );
  assert.equal(built.status, 0, built.stderr);
  assert.equal(readFileSync(iid, "utf8"), `sha256:${built.id}`);
  const untold = berth([
    "build",
    "-t",
    "untold:1",
    "--iidfile",
    "/nonexistent/iid",
    context({ Containerfile: "FROM tiny:1\n" }),
  ]);
  assert.equal(untold.status, 1);
  assert.equal(berth(["history", "untold:1"]).status, 1);
  const { config, manifest } = imageOf(built.id);
  assert.deepEqual(config.config.Labels, { base: "yes", l: "1" });
  assert.equal(manifest.annotations?.["org.example.a"], "b");
  const plan = berth(["build", "--dry-run", context({ Containerfile: "FROM tiny:1\nRUN touch /never\n" })]);
  assert.match(
    plan.stdout,
    /^STEP 1\/2: FROM tiny:1\nSTEP 2\/2: RUN touch \/never\n {2}run \["\/bin\/sh","-c","touch \/never"\] in \/, network private\n/,
  );
});

test("RUN networks: none has no interface but lo, private has one and a name server", () => {
  const built = build(
    "FROM tiny:1\nRUN --network=none ls /sys/class/net && echo end-of-none\nRUN ls /sys/class/net && cat /etc/resolv.conf\n",
    {},
    ["--no-cache"],
  );
  const [none = "", open = ""] = built.stdout.split("\nend-of-none\n");
  assert.match(none, /\nlo$/);
  assert.match(open, /\neth0\nlo\n[\s\S]*nameserver /);
});

test("skopeo reads what was built", async () => {
  const built = build("FROM tiny:1\nRUN echo skopeo > /skopeo\nEXPOSE 80\n");
  const folder = path.join(scratch, "layout");
  {
    using store = openWorkstationStore(host);
    await exportLayout(host, store, imageOf(built.id), { directory: folder, name: "x" });
  }
  const inspected: unknown = JSON.parse(
    execFileSync("skopeo", ["inspect", "--config", `oci:${folder}:x`], { encoding: "utf8" }),
  );
  assert.match(JSON.stringify(inspected), /"ExposedPorts":\{"80\/tcp":\{\}\}/);
  execFileSync("skopeo", ["copy", "--quiet", `oci:${folder}:x`, `dir:${path.join(scratch, "copied")}`]);
  assert.ok(existsSync(path.join(scratch, "copied/manifest.json")));
});

test("--compression chooses how new layers are compressed; the content stays, and so does the base", () => {
  const file = "FROM tiny:1\nRUN echo compressed > /compressed\n";
  const images = ["zstd:chunked", "gzip", "zstd"].map((format) =>
    imageOf(build(file, {}, ["--compression", format, "--source-date-epoch", "1700000000"]).id),
  );
  assert.deepEqual(
    images.map(({ manifest }) => manifest.layers.map(encodingOf)),
    ["zstd:chunked", "gzip", "zstd"].map((format) => ["zstd:chunked", format]),
  );
  assert.equal(new Set(images.map(({ config }) => JSON.stringify(config.rootfs))).size, 1);
  assert.equal(berth(["build", "--compression", "xz", context({ Containerfile: file })]).status, 2);
});

test("images, history and rmi show and remove what was built", () => {
  const built = build("FROM tiny:1\nRUN echo listed > /listed\n", {}, ["-t", "listed:1"]);
  const listed = berth(["images", "listed"]).stdout;
  assert.match(
    listed,
    new RegExp(
      `^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nlocalhost/listed +1 +${built.id.slice(0, 12)} +.* ago +[0-9.]+ MB\n$`,
    ),
  );
  assert.match(
    berth(["history", "listed:1"]).stdout,
    new RegExp(`\n${built.id.slice(0, 12)} .*/bin/sh -c echo listed > /listed`),
  );
  assert.equal(berth(["rmi", "listed:1"]).stdout, `Untagged: localhost/listed:1\nDeleted: ${built.id}\n`);
  assert.equal(berth(["rmi", "listed:1"]).status, 1);
  build("FROM tiny:1\nRUN echo dangling > /dangling\n");
  assert.match(berth(["images"]).stdout, /^<none> +<none> +[0-9a-f]{12}/m);
});

test("what a killed build left behind is removed by the next one", () => {
  const left = path.join(storeRoot, "cache/scratch/0123456789abcdef");
  mkdirSync(left, { recursive: true });
  cpSync(import.meta.filename, path.join(left, "file"));
  writeFileSync(`${left}.lock`, "");
  build("FROM tiny:1\nENV X=1\n");
  assert.deepEqual(readdirSync(path.join(storeRoot, "cache/scratch")), []);
});

/** What a build makes: layers, configuration, history, the same for the same. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { readTar } from "../format/tar/read.ts";
import { encodingOf } from "../store/layer-encoding.ts";
import { exportLayout } from "../store/oci-layout.ts";
import { openWorkstationStore } from "../store/workstation.ts";
import {
  addBase,
  berth,
  build,
  context,
  host,
  imageOf,
  newLayers,
  removeScratch,
  scratch,
  withStore,
  type Listing,
} from "../../test/support/tiny-builds.ts";

before(addBase);
after(removeScratch);

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

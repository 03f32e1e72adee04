import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { bytesToByteName, collectBytes, streamOf, textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { makeDev, NO_XATTRS, type Stat } from "../../tree/node.ts";
import { writeHeader } from "./header.ts";
import type { TarMember } from "./member.ts";
import { createTarParser } from "./parser.ts";
import { parsePaxTime, readPaxRecords, writePaxRecords } from "./pax.ts";
import { readTar } from "./read.ts";
import { compareTarPaths, type TarInput, writeTar } from "./write.ts";

const scratch = mkdtempSync(join(tmpdir(), "berth-tar-"));
after(() => rmSync(scratch, { recursive: true }));

const STAT: Stat = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 1_700_000_000, mtimeNsec: 0, xattrs: NO_XATTRS };

interface Parsed {
  readonly member: TarMember;
  readonly content: string;
}

/** Parses in pieces of `step` bytes; checks that raw bytes and content put together are the archive again. */
function parse(archive: Buffer, step: number = archive.length): Parsed[] {
  const members: { member: TarMember; content: Buffer[] }[] = [];
  const all: Buffer[] = [];
  const parser = createTarParser({
    raw: (bytes) => void all.push(Buffer.from(bytes)),
    member: (member) => void members.push({ member, content: [] }),
    content(bytes) {
      all.push(Buffer.from(bytes));
      members.at(-1)?.content.push(Buffer.from(bytes));
    },
  });
  for (let at = 0; at < archive.length; at += step) parser.push(archive.subarray(at, at + step));
  parser.end();
  assert.ok(Buffer.concat(all).equals(archive), "raw bytes and content are the archive again");
  return members.map(({ member, content }) => ({ member, content: Buffer.concat(content).toString("latin1") }));
}

function makeSourceTree(): string {
  const root = join(scratch, "tree");
  mkdirSync(join(root, "dir/sub"), { recursive: true });
  writeFileSync(join(root, "empty"), "");
  writeFileSync(join(root, "small"), "hello\n");
  writeFileSync(join(root, "block"), "b".repeat(512));
  writeFileSync(join(root, "large"), Buffer.alloc(3000, "x"));
  linkSync(join(root, "large"), join(root, "larger-link"));
  symlinkSync("../small", join(root, "dir/link"));
  symlinkSync("t".repeat(150), join(root, "dir/long-target"));
  writeFileSync(join(root, "dir", "n".repeat(200)), "long name");
  mkdirSync(join(root, "d".repeat(120), "e".repeat(120)), { recursive: true });
  writeFileSync(join(root, "d".repeat(120), "e".repeat(120), "f".repeat(120)), "longer path than ustar has");
  writeFileSync(join(root, "grüße"), "utf-8 name");
  writeFileSync(Buffer.concat([Buffer.from(root), Buffer.from([0x2f, 0x62, 0xff, 0xfe])]), "no utf-8 name");
  chmodSync(join(root, "small"), 0o4755);
  execFileSync("mkfifo", [join(root, "pipe")]);
  return root;
}

const tree = makeSourceTree();

function gnuTar(...options: string[]): Buffer {
  return execFileSync("tar", ["-c", "-C", tree, "--sort=name", ...options, "."], { maxBuffer: 1 << 28 });
}

for (const format of ["ustar-ok", "gnu", "pax"] as const) {
  const options =
    format === "ustar-ok" ? ["--format=ustar", "--exclude=./d*", "--exclude=./dir/n*"] : [`--format=${format}`];
  test(`createTarParser() reads what GNU tar writes (${format}), however it is cut`, () => {
    const archive = gnuTar(...options);
    const whole = parse(archive);
    for (const step of [1, 511, 512, 513, 100_000]) assert.deepEqual(parse(archive, step), whole);
    const byPath = new Map(whole.map((entry) => [String(entry.member.path), entry]));
    assert.equal(byPath.get("")?.member.kind, "directory");
    assert.equal(byPath.get("small")?.content, "hello\n");
    assert.equal(byPath.get("small")?.member.stat.mode, 0o4755);
    assert.equal(byPath.get("empty")?.content, "");
    assert.equal(byPath.get("large")?.content.length, 3000);
    assert.deepEqual(
      { ...byPath.get("larger-link")?.member, stat: undefined },
      { kind: "hardlink", path: "larger-link", target: "large", stat: undefined },
    );
    assert.equal(byPath.get("pipe")?.member.kind, "fifo");
    assert.equal(byPath.get(textToByteName("grüße"))?.content, "utf-8 name");
    assert.equal(byPath.get("b\xff\xfe")?.content, "no utf-8 name");
    if (format === "ustar-ok") return;
    assert.equal(byPath.get(`dir/${"n".repeat(200)}`)?.content, "long name");
    assert.equal(
      byPath.get(["d", "e", "f"].map((name) => name.repeat(120)).join("/"))?.content,
      "longer path than ustar has",
    );
    const long = byPath.get("dir/long-target")?.member;
    assert.equal(long?.kind === "symlink" ? long.target : "", "t".repeat(150));
  });
}

test("createTarParser() reads fractions of seconds of PAX", () => {
  const archive = gnuTar("--format=pax", "--mtime=2001-02-03 04:05:06.789123456Z");
  for (const { member } of parse(archive))
    assert.deepEqual([member.stat.mtimeSec, member.stat.mtimeNsec], [981173106, 789123456]);
  assert.ok(parse(archive).length > 10);
});

test("createTarParser() reads base-256 numbers and negative times of GNU tar", () => {
  const archive = gnuTar(
    "--format=gnu",
    "--owner=big:3000000000",
    "--group=big:2097152",
    "--mtime=1960-01-01 00:00:00Z",
  );
  for (const { member } of parse(archive)) {
    assert.deepEqual(
      [member.stat.uid, member.stat.gid, member.stat.mtimeSec],
      [3_000_000_000, 2_097_152, -315_619_200],
    );
  }
});

test("createTarParser() applies global headers until a local one takes them back", () => {
  const pax = (type: string, records: [string, string][]): Buffer => {
    const body = writePaxRecords(new Map(records));
    const header = writeHeader({ ...HEADER, type, size: body.length }, "");
    return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
  };
  const file = writeHeader({ ...HEADER, type: "0", name: textToByteName("f") }, "");
  const archive = Buffer.concat([
    pax("g", [["uid", "42"]]),
    file,
    pax("x", [["uid", ""]]),
    file,
    file,
    Buffer.alloc(1024),
  ]);
  assert.deepEqual(
    parse(archive).map(({ member }) => member.stat.uid),
    [42, 0, 42],
  );
});

const HEADER = {
  name: textToByteName("name"),
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtimeSec: 0,
  type: "0",
  linkname: textToByteName(""),
  devMajor: 0,
  devMinor: 0,
};

function archiveOf(change: Partial<typeof HEADER>, body: Buffer = Buffer.alloc(0)): Buffer {
  const size = body.length;
  return Buffer.concat([
    writeHeader({ ...HEADER, size, ...change }, ""),
    body,
    Buffer.alloc((512 - (size % 512)) % 512),
    Buffer.alloc(1024),
  ]);
}

const bytes = (text: string) => textToByteName(text);
const BAD: readonly (readonly [what: string, archive: Buffer, message: RegExp])[] = [
  ["a wrong checksum", Buffer.concat([Buffer.from("x"), archiveOf({}).subarray(1)]), /at byte 0.*checksum/],
  ["text that is no tar", Buffer.alloc(1024, "not a tar archive"), /at byte 0: /],
  ["an end inside a header", archiveOf({}).subarray(0, 300), /at byte 300: it ends here/],
  ["an end inside content", archiveOf({ size: 5000 }).subarray(0, 1024), /member "name".*it ends here/],
  ["a parent directory in a path", archiveOf({ name: bytes("a/../../etc/passwd") }), /component ".."/],
  ["a parent directory in a link", archiveOf({ type: "1", linkname: bytes("../x") }), /link target has a component/],
  ["a hard link to nothing", archiveOf({ type: "1" }), /link target has 0 bytes/],
  ["a hard link to the root", archiveOf({ type: "1", linkname: bytes("./") }), /link target is empty/],
  ["a symlink to nothing", archiveOf({ type: "2" }), /link target has 0 bytes/],
  ["a file without a name", archiveOf({ name: bytes("") }), /path is empty/],
  ["a file as the root", archiveOf({ name: bytes(".") }), /path is empty/],
  ["a GNU sparse file", archiveOf({ type: "S" }), /sparse/],
  [
    "a PAX sparse file",
    Buffer.concat([archiveOf({ type: "x" }, Buffer.from("22 GNU.sparse.major=1\n")).subarray(0, 1024), archiveOf({})]),
    /sparse/,
  ],
  ["a multi-volume member", archiveOf({ type: "M" }), /its type is "M"/],
  ["a lone block of zeros", Buffer.concat([Buffer.alloc(512), archiveOf({})]), /lone block of zeros/],
  ["a huge extended header", archiveOf({ type: "x", size: 2_000_000 }), /extended header is 2000000 bytes/],
  [
    "a PAX record that lies about its length",
    archiveOf({ type: "x" }, Buffer.from("99 path=a\n")),
    /record at byte 0 is malformed/,
  ],
  ["a PAX record without =", archiveOf({ type: "x" }, Buffer.from("7 path\n")), /record at byte 0 is malformed/],
  [
    "an extended header without a member",
    archiveOf({ type: "x" }, Buffer.from("10 path=a\n")).subarray(0, 1024),
    /it ends here/,
  ],
  [
    "a PAX size that is no number",
    Buffer.concat([archiveOf({ type: "x" }, Buffer.from("11 size=-1\n")).subarray(0, 1024), archiveOf({})]),
    /size is "-1"/,
  ],
  [
    "a PAX time that is no number",
    Buffer.concat([archiveOf({ type: "x" }, Buffer.from("11 mtime=x\n")).subarray(0, 1024), archiveOf({})]),
    /mtime is "x"/,
  ],
  ["a device out of range", archiveOf({ type: "3", devMajor: 5000 }), /device is 5000:0/],
];

for (const [what, archive, message] of BAD) {
  test(`createTarParser() refuses ${what}`, () => {
    assert.throws(
      () => parse(archive),
      (error) =>
        error instanceof SyntaxError &&
        message.test(error.message) &&
        error.message.startsWith("Cannot read tar at byte"),
    );
  });
}

test("createTarParser() on any damage throws SyntaxError or returns", () => {
  const archive = gnuTar("--format=pax").subarray(0, 30_000);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      (edits) => {
        const damaged = Buffer.from(archive);
        for (const [at, value] of edits) damaged[at] = value;
        try {
          parse(damaged);
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});

const name = fc
  .string({
    unit: fc
      .integer({ min: 1, max: 255 })
      .filter((code) => code !== 0x2f)
      .map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 120,
  })
  .filter((text) => text !== "." && text !== "..");
const path = fc
  .array(name, { minLength: 1, maxLength: 4 })
  .map((parts) => bytesToByteName(Buffer.from(parts.join("/"), "latin1")));
const xattrName = fc.constantFrom("security.capability", "user.berth", "trusted.overlay.opaque");
const stat: fc.Arbitrary<Stat> = fc.record({
  mode: fc.nat(0o7777),
  uid: fc.oneof(fc.nat(70_000), fc.nat(0xffff_fffe)),
  gid: fc.nat(0xffff_fffe),
  mtimeSec: fc.oneof(fc.integer({ min: -5_000_000_000, max: 5_000_000_000 }), fc.constant(9_000_000_000)),
  mtimeNsec: fc.constant(0),
  xattrs: fc
    .array(
      fc.tuple(
        xattrName,
        fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value)),
      ),
      { maxLength: 3 },
    )
    .map((pairs) => new Map(pairs)),
});
const input: fc.Arbitrary<TarInput> = fc.oneof(
  fc
    .record({ path, stat, content: fc.uint8Array({ maxLength: 1500 }) })
    .map(({ content, ...rest }) => ({ member: { kind: "file" as const, size: content.length, ...rest }, content })),
  fc.record({ path, stat }).map((rest) => ({ member: { kind: "directory" as const, ...rest } })),
  fc.record({ path, stat, target: path }).map((rest) => ({ member: { kind: "symlink" as const, ...rest } })),
  fc.record({ path, stat, target: path }).map((rest) => ({ member: { kind: "hardlink" as const, ...rest } })),
  fc
    .record({
      path,
      stat,
      rdev: fc.tuple(fc.nat(4095), fc.nat(1048575)).map(([major, minor]) => makeDev(major, minor)),
    })
    .map((rest) => ({ member: { kind: "char" as const, ...rest } })),
  fc.record({ path, stat }).map((rest) => ({ member: { kind: "fifo" as const, ...rest } })),
);

test("readTar() gives back what writeTar() got", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(input, { maxLength: 6 }), fc.integer({ min: 1, max: 3000 }), async (inputs, step) => {
      const archive = await collectBytes(writeTar(inputs));
      const again = await collectBytes(writeTar(inputs));
      assert.ok(archive.equals(again));
      const chunks = Array.from({ length: Math.ceil(archive.length / step) }, (_, i) =>
        archive.subarray(i * step, (i + 1) * step),
      );
      const seen: unknown[] = [];
      for await (const { member, content } of readTar(streamOf(...chunks))) {
        seen.push({
          member: { ...member, stat: { ...member.stat, xattrs: [...member.stat.xattrs] } },
          content: (await collectBytes(content)).toString("hex"),
        });
      }
      const wanted = inputs.map(({ member, content }) => ({
        member: {
          ...member,
          stat: { ...member.stat, xattrs: [...member.stat.xattrs].sort(([a], [b]) => (a < b ? -1 : 1)) },
        },
        content: content instanceof Uint8Array ? Buffer.from(content).toString("hex") : "",
      }));
      assert.deepEqual(seen, wanted);
    }),
    { numRuns: 150 },
  );
});

test("readTar() skips content that is not read", async () => {
  const archive = gnuTar("--format=pax");
  const names: string[] = [];
  for await (const { member } of readTar(streamOf(archive))) names.push(member.path);
  assert.deepEqual(
    names,
    parse(archive).map(({ member }) => member.path),
  );
});

test("GNU tar lists what writeTar() writes", async () => {
  const inputs: TarInput[] = [
    { member: { kind: "directory", path: bytes("d"), stat: { ...STAT, mode: 0o755 } } },
    { member: { kind: "file", path: bytes("d/hello"), stat: STAT, size: 5 }, content: Buffer.from("hello") },
    { member: { kind: "symlink", path: bytes("d/link"), stat: STAT, target: bytes("hello") } },
    { member: { kind: "hardlink", path: bytes("d/same"), stat: STAT, target: bytes("d/hello") } },
    { member: { kind: "file", path: bytes(`d/${"ü".repeat(90)}`), stat: { ...STAT, uid: 3_000_000 }, size: 0 } },
    { member: { kind: "char", path: bytes("null"), stat: STAT, rdev: makeDev(1, 3) } },
  ];
  const archive = await collectBytes(writeTar(inputs));
  assert.equal(archive.length % 512, 0);
  const listed = execFileSync("tar", ["-tv", "--numeric-owner", "--utc", "--quoting-style=literal"], {
    input: archive,
  }).toString();
  assert.deepEqual(
    listed
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/ +/g, " ")),
    [
      "drwxr-xr-x 0/0 0 2023-11-14 22:13 d/",
      "-rw-r--r-- 0/0 5 2023-11-14 22:13 d/hello",
      "lrw-r--r-- 0/0 0 2023-11-14 22:13 d/link -> hello",
      "hrw-r--r-- 0/0 0 2023-11-14 22:13 d/same link to d/hello",
      `-rw-r--r-- 3000000/0 0 2023-11-14 22:13 d/${"ü".repeat(90)}`,
      "crw-r--r-- 0/0 1,3 2023-11-14 22:13 null",
    ],
  );
});

test("writeTar() clamps mtimes to the epoch it is given and drops nothing below it", async () => {
  const inputs = [100, 200, 300].map((mtimeSec) => ({
    member: { kind: "fifo" as const, path: bytes(`p${mtimeSec}`), stat: { ...STAT, mtimeSec } },
  }));
  const archive = await collectBytes(writeTar(inputs, { epochSec: 200 }));
  assert.deepEqual(
    parse(archive).map(({ member }) => member.stat.mtimeSec),
    [100, 200, 200],
  );
});

for (const size of [4, 6]) {
  test(`writeTar() refuses content of ${size} bytes for a file of 5`, async () => {
    const member: TarMember = { kind: "file", path: bytes("f"), stat: STAT, size: 5 };
    await assert.rejects(collectBytes(writeTar([{ member, content: streamOf(Buffer.alloc(size)) }])), RangeError);
    await assert.rejects(collectBytes(writeTar([{ member, content: Buffer.alloc(size) }])), RangeError);
  });
}

test("compareTarPaths() puts whiteouts before the names they could hide, parents before children", () => {
  const paths = ["d", "d/+x", "d/.wh..wh..opq", "d/.wh.gone", "d/a", "d/a/b", "d-e", ".wh.top", "a"];
  assert.deepEqual(paths.toSorted(compareTarPaths), [
    ".wh.top",
    "a",
    "d",
    "d-e",
    "d/.wh..wh..opq",
    "d/.wh.gone",
    "d/+x",
    "d/a",
    "d/a/b",
  ]);
});

test("PAX records count their own length", () => {
  for (let length = 1; length < 1100; length += 1) {
    const records = new Map([["k", "v".repeat(length)]]);
    assert.deepEqual(readPaxRecords(writePaxRecords(records)), records);
  }
});

const TIMES = [
  ["1.5", 1, 500_000_000],
  ["-1.5", -2, 500_000_000],
  ["-1", -1, 0],
  ["0", 0, 0],
  ["-0", 0, 0],
  ["7.1234567891", 7, 123_456_789],
  ["3.", 3, 0],
] as const;
for (const [text, sec, nsec] of TIMES) {
  test(`parsePaxTime() reads ${text}`, () => assert.deepEqual(parsePaxTime(text), { sec, nsec }));
}

test("what the sink throws is no fault of the archive", async () => {
  const full = new Failure("no-space", "Cannot write: the disk is full");
  const parser = createTarParser({
    raw() {},
    member() {},
    content() {
      throw full;
    },
  });
  const archive = await collectBytes(
    writeTar([
      { member: { kind: "file", path: textToByteName("a"), stat: STAT, size: 3 }, content: Buffer.from("abc") },
    ]),
  );
  assert.throws(
    () => parser.push(archive),
    (error) => error === full,
  );
});

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { createLinuxHost } from "../../host/linux.ts";
import { type Printed, runWords } from "../testing.ts";
import { composefsDigestCommand } from "./composefs-digest.ts";
import { composefsDumpCommand } from "./composefs-dump.ts";
import { composefsMkimageCommand } from "./composefs-mkimage.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "berth-composefs-"));
after(() => rmSync(scratch, { recursive: true }));

const VECTORS = path.join(import.meta.dirname, "../../../test/vectors/composefs");

const COMMANDS = [composefsMkimageCommand, composefsDumpCommand, composefsDigestCommand];
const berth = (words: readonly string[], stdin = ""): Promise<Printed> =>
  runWords(createLinuxHost(), COMMANDS, ["composefs", ...words], { stdin });

const dump = path.join(VECTORS, "08-hardlinks.dump");
const row = readFileSync(path.join(VECTORS, "MANIFEST.tsv"), "utf8")
  .split("\n")
  .find((line) => line.startsWith("08-hardlinks\t"));
const [, byDefault, , v1, , , v1Sha512] = (row ?? "").split("\t");
const wanted = `${v1}\n`;

test("composefs mkimage writes an image whose digest `composefs digest` gives and whose dump is the input", async () => {
  const image = path.join(scratch, "image");
  assert.deepEqual(await berth(["mkimage", "--from-dump", dump, "-o", image, "--print-digest"]), {
    status: 0,
    out: wanted,
    err: "",
  });
  assert.equal((await berth(["digest", image])).out, wanted);
  const text = (await berth(["dump", image])).out;
  assert.equal((await berth(["mkimage", "--from-dump", "-"], text)).out, wanted);
});

test("composefs mkimage --format default and --hash sha512 give the digests of the references", async () => {
  assert.equal((await berth(["mkimage", "--from-dump", dump, "--format", "default"])).out, `${byDefault}\n`);
  const sha512 = await berth([
    "mkimage",
    "--hash",
    "sha512",
    "--from-dump",
    path.join(VECTORS, "08-hardlinks.sha512.dump"),
  ]);
  assert.equal(sha512.out, `${v1Sha512}\n`);
});

test("composefs commands tell what is wrong in one line and write nothing", async () => {
  const bad = path.join(scratch, "bad.dump");
  writeFileSync(bad, "/ 0 40755 2 0 0 0 0.0 - - -\n/a 9 100644 1 0 0 0 0.0 - - abcd\n");
  const output = path.join(scratch, "never");
  const cases: readonly (readonly [words: readonly string[], status: number, message: RegExp])[] = [
    [
      ["mkimage", "--from-dump", bad, "-o", output],
      1,
      /^error: Cannot make an image from dump ".*bad.dump": Cannot parse dump: line 2: DIGEST "abcd" .*\n$/,
    ],
    [["mkimage", "--from-dump", path.join(scratch, "none")], 1, /^error: .*none.*\n/],
    [["mkimage"], 2, /^error: .*--from-dump FILE is missing\n/],
    [["mkimage", "--from-dump", dump, "--hash", "sha512"], 1, /is not one of sha512\nhint: .*--hash sha256/],
    [["mkimage", "--from-dump", "-"], 1, /it is not UTF-8\nhint: give the file's name/],
    [["dump", bad], 1, /^error: Cannot dump image ".*": Cannot read image: it is no composefs image\n$/],
    [["digest", path.join(scratch, "none")], 1, /^error: .*none.*\n/],
  ];
  for (const [words, code, message] of cases) {
    const ended = await berth(words, "/ \ufffd");
    assert.equal(ended.status, code, words.join(" "));
    assert.match(ended.err, message);
    assert.equal(ended.out, "");
  }
  assert.throws(() => readFileSync(output), /ENOENT/);
});

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { createLinuxHost } from "../../host/linux.ts";
import { runProgram } from "../run-command.ts";
import { composefsDigestCommand } from "./composefs-digest.ts";
import { composefsDumpCommand } from "./composefs-dump.ts";
import { composefsMkimageCommand } from "./composefs-mkimage.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "berth-composefs-"));
after(() => rmSync(scratch, { recursive: true }));

const VECTORS = path.join(import.meta.dirname, "../../../test/vectors/composefs");

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function berth(words: readonly string[], stdin = ""): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  const code = await runProgram(
    ["composefs", ...words],
    [composefsMkimageCommand, composefsDumpCommand, composefsDigestCommand],
    {
      host: createLinuxHost(),
      signal: new AbortController().signal,
      version: "0",
      terminal: {
        stdout: (text) => void (stdout += text),
        stderr: (text) => void (stderr += text),
        stdoutIsTerminal: false,
        stdinIsTerminal: false,
        stderrColumns: undefined,
        readStdin: async () => stdin,
        ask: async () => "",
      },
    },
  );
  return { code, stdout, stderr };
}

const dump = path.join(VECTORS, "08-hardlinks.dump");
const row = readFileSync(path.join(VECTORS, "MANIFEST.tsv"), "utf8")
  .split("\n")
  .find((line) => line.startsWith("08-hardlinks\t"));
const [, byDefault, , v1, , , v1Sha512] = (row ?? "").split("\t");
const wanted = `${v1}\n`;

test("composefs mkimage writes an image whose digest `composefs digest` gives and whose dump is the input", async () => {
  const image = path.join(scratch, "image");
  assert.deepEqual(await berth(["mkimage", "--from-dump", dump, "-o", image, "--print-digest"]), {
    code: 0,
    stdout: wanted,
    stderr: "",
  });
  assert.equal((await berth(["digest", image])).stdout, wanted);
  const text = (await berth(["dump", image])).stdout;
  assert.equal((await berth(["mkimage", "--from-dump", "-"], text)).stdout, wanted);
});

test("composefs mkimage --format default and --hash sha512 give the digests of the references", async () => {
  assert.equal((await berth(["mkimage", "--from-dump", dump, "--format", "default"])).stdout, `${byDefault}\n`);
  const sha512 = await berth([
    "mkimage",
    "--hash",
    "sha512",
    "--from-dump",
    path.join(VECTORS, "08-hardlinks.sha512.dump"),
  ]);
  assert.equal(sha512.stdout, `${v1Sha512}\n`);
});

test("composefs commands tell what is wrong in one line and write nothing", async () => {
  const bad = path.join(scratch, "bad.dump");
  writeFileSync(bad, "/ 0 40755 2 0 0 0 0.0 - - -\n/a 9 100644 1 0 0 0 0.0 - - abcd\n");
  const output = path.join(scratch, "never");
  const cases: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
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
    assert.equal(ended.code, code, words.join(" "));
    assert.match(ended.stderr, message);
    assert.equal(ended.stdout, "");
  }
  assert.throws(() => readFileSync(output), /ENOENT/);
});

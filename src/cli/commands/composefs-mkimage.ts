/** `berth composefs mkimage`: an EROFS image from a dump, byte-identical to mkcomposefs. */
import { textToByteName } from "../../core/bytes.ts";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { parseDump } from "../../format/dumpfile/parse.ts";
import { writeErofs } from "../../format/erofs/write.ts";
import { verityDigest } from "../../format/verity/verity.ts";
import type { Directory } from "../../tree/node.ts";
import { type Context, command } from "../command.ts";

export const composefsMkimageCommand = command({
  name: "composefs mkimage",
  summary: "Write a composefs image from a dump",
  description:
    "Reads a dump (as `berth composefs dump`, mkcomposefs and composefs-info write it) and writes the EROFS image that mkcomposefs writes,\n" +
    "byte for byte. Without -o only the image's fs-verity digest is printed.",
  flags: {
    "from-dump": { type: "string", value: "FILE", summary: "dump to read; - is standard input" },
    hash: {
      type: "string",
      value: "NAME",
      choices: ["sha256", "sha512"],
      default: "sha256",
      summary: "hash of the digests in the dump and of the image's own",
    },
    format: {
      type: "string",
      value: "NAME",
      choices: ["v1", "default"],
      default: "v1",
      summary: "v1, or default: as mkcomposefs without --min-version, v1 only if the tree has whiteouts",
    },
    output: { type: "string", short: "o", value: "IMG", summary: "where to write the image" },
    "print-digest": { type: "boolean", summary: "print the image's fs-verity digest also with -o" },
  },
  examples: [
    [
      "berth composefs mkimage --from-dump root.dump -o root.erofs --print-digest",
      "write an image and show what names it",
    ],
    ["zcat root.dump.gz | berth composefs mkimage --from-dump -", "show the digest only"],
  ],
  async run(values, _operands, context) {
    const file = values["from-dump"];
    if (file === undefined) throw new Failure("usage", "Cannot make an image: --from-dump FILE is missing");
    const algorithm: DigestAlgorithm = values.hash === "sha512" ? "sha512" : "sha256";
    const what = `Cannot make an image from dump "${file}"`;
    const other = algorithm === "sha256" ? "sha512" : "sha256";
    const hint = `if the dump's digests are of ${other}, give --hash ${other}`;
    const tree = await readTree(file, what, context);
    const image = asBadInput(what, hint, () =>
      writeErofs(tree, { algorithm, minVersion: values.format === "v1" ? 1 : 0, maxVersion: 1 }),
    );
    const { output } = values;
    if (output !== undefined) context.host.files.replace(textToByteName(output), image, { mode: 0o644 });
    return {
      /** Hashed when it is shown. */
      get digest() {
        return verityDigest(image, algorithm);
      },
      sizeBytes: image.length,
      output,
      print: output === undefined || values["print-digest"],
    };
  },
  json: ({ digest, sizeBytes, output }) => ({ digest, sizeBytes, output }),
  view: (value) => (value.print ? value.digest : undefined),
});

/** The dump's bytes are let go before the image is made. */
async function readTree(file: string, what: string, context: Context): Promise<Directory> {
  const text = await readDumpFile(file, context);
  return asBadInput(what, undefined, () => parseDump(text));
}

async function readDumpFile(file: string, context: Context): Promise<Uint8Array> {
  if (file !== "-") return context.host.files.read(textToByteName(file));
  const text = await context.readStdin();
  if (text.includes("\ufffd")) {
    throw new Failure("bad-input", "Cannot read the dump from standard input: it is not UTF-8", {
      hint: "give the file's name to --from-dump",
    });
  }
  return Buffer.from(text, "utf8");
}

/** What the formats throw, as a Failure that names the file. */
export function asBadInput<T>(what: string, hint: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof SyntaxError || cause instanceof RangeError) {
      throw new Failure("bad-input", what, hint === undefined ? { cause } : { cause, hint });
    }
    throw cause;
  }
}

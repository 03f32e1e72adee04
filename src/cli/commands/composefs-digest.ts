/** `berth composefs digest`: the fs-verity digest of a file, which is the name that it has as an object. */
import { textToByteName } from "../../core/bytes.ts";
import { createVerityHasher } from "../../format/verity/verity.ts";
import { command } from "../command.ts";

export const composefsDigestCommand = command({
  name: "composefs digest",
  summary: "Print the fs-verity digest of a file",
  description:
    "The same value as `fsverity digest` and, where the kernel has fs-verity, `fsverity measure` give. The file needs no fs-verity.",
  operands: [{ name: "FILE", summary: "any regular file" }],
  flags: {
    hash: { type: "string", value: "NAME", choices: ["sha256", "sha512"], default: "sha256", summary: "hash to use" },
  },
  examples: [["berth composefs digest --hash sha512 root.erofs", "the deployment id of an image"]],
  async run(values, [file = ""], context) {
    const hasher = createVerityHasher(values.hash === "sha512" ? "sha512" : "sha256");
    for await (const chunk of context.host.files.readStream(textToByteName(file))) {
      context.signal.throwIfAborted();
      hasher.update(chunk);
    }
    const { id, sizeBytes } = hasher.finish();
    return { file, algorithm: values.hash, digest: id, sizeBytes };
  },
  view: (value) => value.digest,
});

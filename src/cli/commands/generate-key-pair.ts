/** `berth generate-key-pair`: a key to sign images with, in cosign's files. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { generateKeyPair } from "../../remote/trust/sigstore-key.ts";
import { command } from "../command.ts";
import { readPassword } from "./sign.ts";

export const generateKeyPairCommand = command({
  name: "generate-key-pair",
  summary: "Make a key pair to sign images with",
  description:
    "Writes PREFIX.key, encrypted with a password, and PREFIX.pub: an ECDSA P-256 pair that cosign, skopeo and podman take too. The password is taken from COSIGN_PASSWORD, or asked for.",
  flags: {
    "output-key-prefix": { type: "string", value: "PREFIX", default: "cosign", summary: "Path without .key and .pub" },
  },
  async run(values, _operands, context) {
    const { files } = context.host;
    const prefix = textToByteName(values["output-key-prefix"]);
    const keyPath = `${prefix}.key`;
    const publicPath = `${prefix}.pub`;
    const existing = [keyPath, publicPath].find((path) => files.exists(path));
    if (existing !== undefined)
      throw new Failure("already-exists", `Cannot write key "${existing}": it is there already`);
    const password = await readPassword(context, "Password for the private key: ");
    const repeated = await readPassword(context, "The same again: ");
    if (password !== repeated) throw new Failure("usage", "Cannot make a key pair: the two passwords differ");
    const pair = generateKeyPair(password, (size) => context.host.random(size));
    files.replace(keyPath, pair.privateKey, { mode: 0o600 });
    files.replace(publicPath, pair.publicKey, { mode: 0o644 });
    return { privateKey: keyPath, publicKey: publicPath };
  },
  view: ({ privateKey, publicKey }) => `Private key: ${privateKey}\nPublic key: ${publicKey}\n`,
});

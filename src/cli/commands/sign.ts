/** `berth sign`: a signature of an image in a registry, made with a cosign key. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { formatRepository } from "../../oci/reference.ts";
import { signImage } from "../../remote/trust/sign.ts";
import { requireSignedName } from "../../remote/trust/signed-identity.ts";
import { isEncryptedKey, parsePrivateKey } from "../../remote/trust/sigstore-key.ts";
import { command, type Context } from "../command.ts";
import { readRemoteRef } from "../image-names.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const signCommand = command({
  name: "sign",
  summary: "Sign an image in a registry",
  description:
    "Writes the signature beside the image: under the tag sha256-HEX.sig, where podman, skopeo and cosign look, and as a referrer. Of a multi-platform image every manifest is signed. The password of an encrypted key is taken from COSIGN_PASSWORD, or asked for.",
  flags: {
    key: { type: "string", value: "FILE", summary: "Private key: cosign.key, or PKCS #8 PEM" },
    identity: {
      type: "string",
      value: "REF",
      summary: "The name that the signature gives the image; IMAGE by default",
    },
    ...REMOTE_FLAGS,
  },
  operands: [{ name: "IMAGE", summary: "HOST/NAME[:TAG][@DIGEST]" }],
  examples: [
    ["berth generate-key-pair", "once: cosign.key to sign, cosign.pub to verify"],
    ["berth sign --key cosign.key registry.example.com/team/os:1", "after the push"],
  ],
  async run(values, [name = ""], context) {
    if (values.key === undefined) throw new Failure("usage", "Cannot sign: wanted --key FILE");
    if (values.identity !== undefined) requireSignedName(values.identity);
    const ref = readRemoteRef(context.host, name);
    const key = await readPrivateKey(context, values.key);
    const digests = await signImage(remoteContext(context, values), ref, { key, identity: values.identity });
    return { repository: formatRepository(ref), digests };
  },
  view: ({ repository, digests }) => digests.map((digest) => `Signed ${repository}@${digest}\n`).join(""),
});

async function readPrivateKey(context: Context, path: string): Promise<ReturnType<typeof parsePrivateKey>> {
  const pem = context.host.files.readText(textToByteName(path));
  const password = isEncryptedKey(pem) ? await readPassword(context, `Password for ${path}: `) : "";
  try {
    return parsePrivateKey(pem, password);
  } catch (error) {
    throw new Failure("bad-input", `Cannot use private key "${path}"`, { cause: error });
  }
}

/** An empty COSIGN_PASSWORD is a password too. */
export async function readPassword(context: Context, question: string): Promise<string> {
  return context.host.env["COSIGN_PASSWORD"] ?? (await context.ask(question, { hidden: true }));
}

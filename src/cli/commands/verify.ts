/** `berth verify`: is an image in a registry signed, by one key or as this machine's policy wants it? */
import { textToByteName } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { ImageRef } from "../../oci/reference.ts";
import { formatRepository } from "../../oci/reference.ts";
import type { RemoteContext } from "../../remote/context.ts";
import { resolveImage } from "../../remote/resolve.ts";
import type { Claim } from "../../remote/trust/claim.ts";
import { readImagePolicy } from "../../remote/trust/policy.ts";
import { requireSignedName } from "../../remote/trust/signed-identity.ts";
import { parsePublicKey } from "../../remote/trust/sigstore-key.ts";
import { verifyImage } from "../../remote/trust/verify.ts";
import { command } from "../command.ts";
import { readRemoteRef } from "../image-names.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

interface Verified {
  readonly repository: string;
  readonly digest: Digest;
  /** Why: one line each. */
  readonly reasons: readonly string[];
}

export const verifyCommand = command({
  name: "verify",
  summary: "Verify the signatures of an image in a registry",
  description:
    "With --key one sigstore signature by that key, of this digest and for this repository, must be there. cosign 3 signs without a name: --any-name takes that too. Without a key the policy.json of this machine is asked, as at a pull.",
  flags: {
    key: { type: "string", value: "FILE", summary: "Public key: cosign.pub" },
    identity: { type: "string", value: "REF", summary: "The name that the signature must give the image" },
    "any-name": { type: "boolean", summary: "Take a signature whatever it calls the image, as cosign does" },
    ...REMOTE_FLAGS,
  },
  operands: [{ name: "IMAGE", summary: "HOST/NAME[:TAG][@DIGEST]" }],
  examples: [
    ["berth verify --key cosign.pub registry.example.com/team/os:1", "by one key"],
    ["berth verify registry.example.com/team/os:1", "as this machine's policy wants it"],
  ],
  async run(values, [name = ""], context): Promise<Verified> {
    const ref = readRemoteRef(context.host, name);
    if (values.identity !== undefined) requireSignedName(values.identity);
    const remote = remoteContext(context, values);
    const anyName = values["any-name"] === true;
    if (anyName && values.identity !== undefined)
      throw new Failure("usage", "Cannot verify: --any-name and --identity exclude each other");
    if (values.key !== undefined) return byKey(remote, ref, values.key, { identity: values.identity, anyName });
    if (anyName || values.identity !== undefined)
      throw new Failure("usage", `Cannot verify: ${anyName ? "--any-name" : "--identity"} needs --key`);
    return byPolicy(remote, ref);
  },
  view: ({ repository, digest, reasons }) =>
    `Verified ${repository}@${digest}\n${reasons.map((reason) => `  ${reason}\n`).join("")}`,
});

async function byKey(
  remote: RemoteContext,
  ref: ImageRef,
  path: string,
  name: { readonly identity: string | undefined; readonly anyName: boolean },
): Promise<Verified> {
  const pem = remote.host.files.readText(textToByteName(path));
  let key: ReturnType<typeof parsePublicKey>;
  try {
    key = parsePublicKey(pem);
  } catch (error) {
    throw new Failure("bad-input", `Cannot use public key "${path}"`, { cause: error });
  }
  const { digest, signatures } = await verifyImage(remote, ref, { key, ...name });
  const reasons = signatures.map(({ where, claim }) => `signed by ${path} ${describeName(claim)} (${where})`);
  return { repository: formatRepository(ref), digest, reasons };
}

function describeName({ dockerReference }: Claim): string {
  return dockerReference === undefined ? "without a name" : `as ${dockerReference}`;
}

async function byPolicy(remote: RemoteContext, ref: ImageRef): Promise<Verified> {
  const { digest } = await resolveImage(remote, ref);
  const policy = readImagePolicy(remote.host, ref);
  const reason =
    policy === undefined
      ? "there is no policy.json: everything is accepted"
      : `the policy for "${policy.scope}" in ${policy.file}: ${policy.requirements.map(({ kind }) => kind).join(", ")}`;
  return { repository: formatRepository(ref), digest, reasons: [reason] };
}

/**
 * openSigned(): the content of an OpenPGP signed message, when one of the given keys has signed it. The work is gpgv's: it knows no
 * keyring but the one that it is given, and no web of trust.
 *
 * @see gpgv(1); GnuPG doc/DETAILS "Format of the --status-fd output"
 */
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";

export type OpenedMessage =
  | { readonly kind: "signed"; readonly content: string; readonly fingerprint: string }
  | { readonly kind: "refused"; readonly reason: string };

const ARMOR =
  /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\n]+:[^\n]*\n)*\r?\n([A-Za-z0-9+/=\s]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END PGP/g;

/** `keyrings`: public keys, binary or armored. Failure "missing-tool" without gpgv. */
export async function openSigned(
  host: Pick<Host, "files" | "exec">,
  message: Uint8Array,
  keyrings: readonly Uint8Array[],
  signal?: AbortSignal,
): Promise<OpenedMessage> {
  using directory = host.files.temporaryDirectory("/tmp/berth-gpgv-");
  const at = (name: string): string => `${directory.path}/${name}`;
  host.files.write(at("keyring"), Buffer.concat(keyrings.map(toBinaryKeys)));
  host.files.write(at("message"), message);

  const argv = ["gpgv", "--homedir", directory.path, "--keyring", at("keyring"), "--status-fd", "1"];
  const { exitCode, stdout, stderr } = await host.exec([...argv, "--output", at("content"), at("message")], {
    timeoutMs: 60_000,
    signal,
    check: false,
  });
  const status = stdout
    .toString("utf8")
    .split("\n")
    .map((line) => line.replace(/^\[GNUPG:\] /, "").split(" "));
  const words = new Map(status.map(([word = "", ...rest]) => [word, rest]));
  const [fingerprint] = words.get("VALIDSIG") ?? [];
  const refusal = REFUSALS.find(([word]) => words.has(word));
  if (exitCode !== 0 || fingerprint === undefined || refusal !== undefined) {
    return { kind: "refused", reason: refusal?.[1] ?? lastLine(stderr.toString("utf8")) };
  }
  if (status.filter(([word]) => word === "VALIDSIG").length > 1)
    return { kind: "refused", reason: "it has several signatures, wanted one" };
  return { kind: "signed", content: host.files.readText(at("content")), fingerprint };
}

/** A valid signature of an expired or revoked key is reported as VALIDSIG, too. */
const REFUSALS = [
  ["NO_PUBKEY", "it is signed by another key"],
  ["BADSIG", "its signature is wrong"],
  ["REVKEYSIG", "its key is revoked"],
  ["EXPKEYSIG", "its key has expired"],
  ["EXPSIG", "its signature has expired"],
  ["ERRSIG", "its signature cannot be checked"],
  ["NODATA", "it is no OpenPGP message"],
] as const;

/** gpgv reads binary keys only. */
function toBinaryKeys(keys: Uint8Array): Uint8Array {
  const text = Buffer.from(keys).toString("latin1");
  if (!text.includes("-----BEGIN PGP")) return keys;
  const blocks = [...text.matchAll(ARMOR)].map(([, body = ""]) => Buffer.from(body, "base64"));
  if (blocks.length === 0) throw new Failure("bad-input", "Cannot read OpenPGP keys: the armor is malformed");
  return Buffer.concat(blocks);
}

function lastLine(text: string): string {
  return (
    text
      .trim()
      .split("\n")
      .at(-1)
      ?.replace(/^gpgv: /, "") || "gpgv does not accept it"
  );
}

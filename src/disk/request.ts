/**
 * DiskRequest: what a disk shall hold, checked before anything is read or written.
 */
import { Failure } from "../core/failure.ts";

export type DiskType = "raw" | "qcow2";

export interface UserRequest {
  readonly name: string;
  readonly groups: readonly string[];
  /** Text of an authorized_keys file; empty for none. */
  readonly authorizedKeys: string;
}

export interface DiskRequest {
  readonly type: DiskType;
  readonly sizeBytes: number;
  readonly kargs: readonly string[];
  /** Text of root's authorized_keys; empty for none. */
  readonly rootAuthorizedKeys: string;
  readonly users: readonly UserRequest[];
  readonly hostname: string | undefined;
  /** The reference that the machine follows, e.g. `registry.example.com/os:12`. */
  readonly source: string;
  /** Changes all ids of the disk, which otherwise follow from the image and the request. */
  readonly uuid: string | undefined;
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `10G`, `512MiB`, `2t` or plain bytes; powers of 1024. Failure "usage". */
export function parseSize(text: string, what: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)([KMGT]?)(?:i?B)?$/i.exec(text);
  const unit = UNITS[(match?.[2] ?? "?").toUpperCase()];
  const value = Math.round(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!Number.isSafeInteger(value) || value <= 0) {
    throw new Failure("usage", `Cannot read ${what} ${JSON.stringify(text)}: wanted a size such as 10G or 800M`);
  }
  return value;
}

/** `NAME[:GROUP,GROUP][:KEYFILE]`; the key file is read by `readKeys`. Failure "usage". */
export function parseUser(text: string, readKeys: (path: string) => string): UserRequest {
  const [name = "", groups = "", ...rest] = text.split(":");
  const keyFile = rest.join(":");
  const what = `Cannot add user ${JSON.stringify(text)}`;
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(name)) {
    throw new Failure(
      "usage",
      `${what}: its name is ${JSON.stringify(name)}, wanted a-z, 0-9, _ and -, a letter first, at most 32`,
    );
  }
  if (name === "root") {
    throw new Failure("usage", `${what}: root exists in every image`, {
      hint: "use --root-ssh-authorized-keys for root's keys",
    });
  }
  const names = groups === "" ? [] : groups.split(",");
  for (const group of names) {
    if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(group))
      throw new Failure("usage", `${what}: ${JSON.stringify(group)} is no group name`);
  }
  return { name, groups: [...new Set(names)], authorizedKeys: keyFile === "" ? "" : readKeys(keyFile) };
}

/** All users of a disk, as parseUser() has each. Failure "usage" also for a name that comes twice. */
export function parseUsers(texts: readonly string[], readKeys: (path: string) => string): UserRequest[] {
  const users = texts.map((text) => parseUser(text, readKeys));
  const names = users.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new Failure("usage", `Cannot add user "${twice}" twice: wanted one --user for each name`);
  return users;
}

const KEY =
  /(?:^|\s)(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521)|sk-[a-z0-9@.-]+|ssh-[a-z0-9-]+-cert-v01@openssh\.com)\s+[A-Za-z0-9+/]{40,}={0,3}(?:\s|$)/;

/** The text of an authorized_keys file, with a final newline. `path` is for the error. Failure "bad-input". */
export function parseAuthorizedKeys(text: string, path: string): string {
  const what = `Cannot read SSH public keys ${JSON.stringify(path)}`;
  const lines = text.split("\n").map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.some((line) => line.startsWith("-----BEGIN"))) {
    throw new Failure("bad-input", `${what}: it is a private key`, { hint: "name the .pub file beside it" });
  }
  const bad = keys.find((line) => !KEY.test(line));
  if (bad !== undefined)
    throw new Failure("bad-input", `${what}: ${JSON.stringify(bad.slice(0, 40))} is no public key`);
  if (keys.length === 0) throw new Failure("bad-input", `${what}: it holds no key`);
  return `${keys.join("\n")}\n`;
}

/** Kernel arguments, one each. `composefs=` and `root=` are berth's own. Failure "usage". */
export function parseKarg(text: string): string {
  if (text.trim() === "" || /[\n\r\0]/.test(text))
    throw new Failure("usage", `Cannot add kernel argument ${JSON.stringify(text)}: it is empty or has a line break`);
  if (text.split('"').length % 2 === 0)
    throw new Failure("usage", `Cannot add kernel argument ${JSON.stringify(text)}: it has a quote without its end`);
  if (/^(?:composefs|root)=/.test(text)) {
    throw new Failure("usage", `Cannot add kernel argument ${JSON.stringify(text)}: berth sets it itself`);
  }
  return text.trim();
}

export function parseDiskType(text: string): DiskType {
  if (text === "raw" || text === "qcow2") return text;
  throw new Failure("usage", `Cannot make a disk of type ${JSON.stringify(text)}: wanted raw or qcow2`);
}

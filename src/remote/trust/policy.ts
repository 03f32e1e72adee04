/**
 * Policy: policy.json, what an image must prove before it is used. Read strictly: a key that is unknown or there twice rejects the
 * whole file, because a policy of which a part is overlooked is worse than none.
 *
 * No policy.json at all means that everything is accepted, as on a machine without the containers tools.
 *
 * @see containers-policy.json(5)
 */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { asArray, asExactObject, asObject, asString, type JsonObject, parseUniqueJsonObject } from "../../core/json.ts";
import type { ImageRef } from "../../oci/reference.ts";
import { type ConfigHost, userConfigDirectory } from "../context.ts";
import { scopesOf } from "./scopes.ts";
import { parseSignedIdentity, type SignedIdentity } from "./signed-identity.ts";

export interface Policy {
  readonly default: readonly Requirement[];
  /** By scope; "" counts for every image of a registry. */
  readonly docker: ReadonlyMap<string, readonly Requirement[]>;
}

export type Requirement =
  | { readonly kind: "insecureAcceptAnything" }
  | { readonly kind: "reject" }
  /** By one of the OpenPGP keys. */
  | { readonly kind: "signedBy"; readonly keys: Keys; readonly identity: SignedIdentity }
  /** By one of the public keys. */
  | { readonly kind: "sigstoreSigned"; readonly keys: Keys; readonly identity: SignedIdentity }
  /** Well-formed, but not known here: never fulfilled. */
  | { readonly kind: "unsupported"; readonly what: string };

export interface Keys {
  readonly paths: readonly string[];
  readonly data: readonly Buffer[];
}

/** What counts for one image. */
export interface ImagePolicy {
  readonly file: string;
  /** `default`, or a scope. */
  readonly scope: string;
  readonly requirements: readonly Requirement[];
}

/** undefined when the host has no policy.json. Failure "bad-input" naming the file. */
export function readImagePolicy(host: ConfigHost, ref: ImageRef): ImagePolicy | undefined {
  const user = userConfigDirectory(host);
  for (const directory of [...(user === undefined ? [] : [`${user}/containers`]), "/etc/containers"]) {
    const file = textToByteName(`${directory}/policy.json`);
    const text = host.files.readTextIfAny(file);
    if (text === undefined) continue;
    try {
      return { file, ...requirementsFor(parsePolicy(text), ref) };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new Failure("bad-input", `Cannot use the policy "${file}": it is malformed`, { cause: error });
    }
  }
  return undefined;
}

/** The most specific list only. */
export function requirementsFor(
  policy: Policy,
  ref: ImageRef,
): { readonly scope: string; readonly requirements: readonly Requirement[] } {
  for (const scope of [...scopesOf(ref), ""]) {
    const requirements = policy.docker.get(scope);
    if (requirements !== undefined) return { scope: scope === "" ? "docker" : scope, requirements };
  }
  return { scope: "default", requirements: policy.default };
}

/** Throws SyntaxError naming the field. */
export function parsePolicy(text: string): Policy {
  const object = asExactObject(parseUniqueJsonObject(text, "policy"), "policy", ["default", "transports"]);
  const docker = new Map<string, readonly Requirement[]>();
  for (const [transport, scopes] of Object.entries(asObject(object["transports"] ?? {}, "policy.transports"))) {
    for (const [scope, list] of Object.entries(asObject(scopes, `policy.transports.${transport}`))) {
      const requirements = parseRequirements(list, `policy.transports.${transport}[${JSON.stringify(scope)}]`);
      if (transport !== "docker") continue;
      checkScope(scope);
      docker.set(scope, requirements);
    }
  }
  return { default: parseRequirements(object["default"], "policy.default"), docker };
}

function checkScope(scope: string): void {
  const isWildcard = /^\*\.[^/*]+$/.test(scope);
  if (scope === "" || isWildcard || (!scope.includes("*") && /^[^/]/.test(scope) && !scope.endsWith("/"))) return;
  throw new SyntaxError(
    `Cannot read policy.transports.docker: ${JSON.stringify(scope)} is no scope, wanted host[/path][:tag] or *.domain`,
  );
}

function parseRequirements(value: unknown, what: string): readonly Requirement[] {
  const list = asArray(value, what);
  if (list.length === 0) throw new SyntaxError(`Cannot read ${what}: it is empty, wanted at least one requirement`);
  return list.map((entry, i) => parseRequirement(entry, `${what}[${i}]`));
}

const SIGSTORE_OTHERS = [
  "fulcio",
  "pki",
  "rekorPublicKeyPath",
  "rekorPublicKeyPaths",
  "rekorPublicKeyData",
  "rekorPublicKeyDatas",
] as const;

function parseRequirement(value: unknown, what: string): Requirement {
  const kind = asString(asObject(value, what)["type"], `${what}.type`);
  switch (kind) {
    case "insecureAcceptAnything":
    case "reject":
      asExactObject(value, what, ["type"]);
      return { kind };
    case "signedBy": {
      const names = ["keyPath", "keyPaths", "keyData"] as const;
      const object = asExactObject(value, what, ["type", "keyType", ...names, "signedIdentity"]);
      const keyType = asString(object["keyType"], `${what}.keyType`);
      if (keyType !== "GPGKeys")
        throw new SyntaxError(`Cannot read ${what}.keyType: it is ${JSON.stringify(keyType)}, wanted GPGKeys`);
      return { kind, keys: parseKeys(object, what, names), identity: parseIdentity(object, what) };
    }
    case "sigstoreSigned": {
      const names = ["keyPath", "keyPaths", "keyData", "keyDatas"] as const;
      const object = asExactObject(value, what, ["type", ...names, ...SIGSTORE_OTHERS, "signedIdentity"]);
      const identity = parseIdentity(object, what);
      const other = SIGSTORE_OTHERS.find((name) => object[name] !== undefined);
      if (other !== undefined) return { kind: "unsupported", what: `sigstoreSigned with ${other}` };
      return { kind, keys: parseKeys(object, what, names), identity };
    }
    case "signedBaseLayer":
      asExactObject(value, what, ["type", "baseLayerIdentity"]);
      return { kind: "unsupported", what: kind };
    default:
      throw new SyntaxError(
        `Cannot read ${what}.type: it is ${JSON.stringify(kind)}, wanted insecureAcceptAnything, reject, signedBy or sigstoreSigned`,
      );
  }
}

function parseIdentity(object: JsonObject, what: string): SignedIdentity {
  const value = object["signedIdentity"];
  return value === undefined
    ? { kind: "matchRepoDigestOrExact" }
    : parseSignedIdentity(value, `${what}.signedIdentity`);
}

/** Exactly one of the fields; paths as they are, data in base64. */
function parseKeys(object: JsonObject, what: string, names: readonly string[]): Keys {
  const given = names.filter((name) => object[name] !== undefined);
  const [name] = given;
  if (name === undefined || given.length > 1)
    throw new SyntaxError(
      `Cannot read ${what}: it has ${given.join(" and ") || "no key"}, wanted one of ${names.join(", ")}`,
    );
  const value = object[name];
  const list = name.endsWith("s") ? asArray(value, `${what}.${name}`) : [value];
  if (list.length === 0) throw new SyntaxError(`Cannot read ${what}.${name}: it is empty, wanted at least one`);
  const texts = list.map((entry, i) => asString(entry, `${what}.${name}${name.endsWith("s") ? `[${i}]` : ""}`));
  if (name.startsWith("keyPath")) return { paths: texts, data: [] };
  return { paths: [], data: texts.map((text) => decodeBase64(text, `${what}.${name}`)) };
}

function decodeBase64(text: string, what: string): Buffer {
  if (text === "" || !/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0)
    throw new SyntaxError(`Cannot read ${what}: it is not base64`);
  return Buffer.from(text, "base64");
}

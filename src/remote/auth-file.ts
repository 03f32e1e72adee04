/**
 * AuthFile: `auth.json` of the containers tools, docker's `config.json` (the same shape) and the older `.dockercfg` (the same
 * without the "auths" around it). A password is base64, not secret from anyone who can read the file.
 *
 * @see containers-auth.json(5)
 */
import { asObject, asString, asStringMap, type JsonObject, optional, parseJsonObject } from "../core/json.ts";

export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token. */
  | { readonly kind: "identity-token"; readonly token: string };

export interface AuthFile {
  /** By key as `normalizeKey` gives it: `host[:port][/path]`. */
  readonly entries: ReadonlyMap<string, Credentials>;
  /** Host, as `normalizeKey` gives it, to suffix of `docker-credential-<suffix>`. */
  readonly helpers: Readonly<Record<string, string>>;
  /** docker's helper for every host. */
  readonly defaultHelper: string | undefined;
}

/** Throws SyntaxError naming the field. An empty file is one without entries. */
export function parseAuthFile(text: string, shape: "auths" | "dockercfg"): AuthFile {
  if (text.trim() === "") return { entries: new Map(), helpers: {}, defaultHelper: undefined };
  const object = parseJsonObject(text, "auth file");
  const auths = shape === "dockercfg" ? object : (optional(object["auths"], "auth file.auths", asObject) ?? {});
  const entries = new Map<string, Credentials>();
  for (const [key, value] of Object.entries(auths)) {
    const credentials = parseEntry(asObject(value, `auth file.auths[${JSON.stringify(key)}]`), key);
    if (credentials !== undefined) entries.set(normalizeKey(key), credentials);
  }
  if (shape === "dockercfg") return { entries, helpers: {}, defaultHelper: undefined };
  return {
    entries,
    helpers: Object.fromEntries(
      Object.entries(optional(object["credHelpers"], "auth file.credHelpers", asStringMap) ?? {}).map(
        ([key, suffix]) => [normalizeKey(key), suffix],
      ),
    ),
    defaultHelper: optional(object["credsStore"], "auth file.credsStore", asString),
  };
}

/** The file's text with the entry of `key` set, or taken out; all else in it stays. */
export function withEntry(text: string | undefined, key: string, credentials: Credentials | undefined): string {
  const object = text === undefined || text.trim() === "" ? {} : parseJsonObject(text, "auth file");
  const auths = optional(object["auths"], "auth file.auths", asObject) ?? {};
  const others = Object.entries(auths).filter(([name]) => normalizeKey(name) !== normalizeKey(key));
  const entry = credentials === undefined ? [] : [[key, formatEntry(credentials)] as const];
  return `${JSON.stringify({ ...object, auths: Object.fromEntries([...others, ...entry]) }, null, "\t")}\n`;
}

/** The file's text without any entry; its helpers stay. */
export function withoutEntries(text: string): string {
  return `${JSON.stringify({ ...parseJsonObject(text, "auth file"), auths: {} }, null, "\t")}\n`;
}

/** Keys written by docker are URLs; docker.io has several names. */
export function normalizeKey(key: string): string {
  const bare = /^https?:\/\//.test(key)
    ? (key.replace(/^https?:\/\//, "").split("/")[0] ?? "")
    : key.replace(/\/+$/, "");
  return bare.replace(/^(?:registry-1\.docker\.io|index\.docker\.io)(?=\/|$)/, "docker.io");
}

function parseEntry(entry: JsonObject, key: string): Credentials | undefined {
  const field = (name: string): string | undefined => {
    const value = optional(entry[name], `auth file.auths[${JSON.stringify(key)}].${name}`, asString);
    return value === "" ? undefined : value;
  };
  const token = field("identitytoken");
  if (token !== undefined) return { kind: "identity-token", token };
  const auth = field("auth");
  if (auth === undefined) {
    const username = field("username");
    const password = field("password");
    return username === undefined || password === undefined ? undefined : { kind: "password", username, password };
  }
  const pair = Buffer.from(auth, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 0) {
    throw new SyntaxError(
      `Cannot read auth file.auths[${JSON.stringify(key)}].auth: it is not base64 of user:password`,
    );
  }
  return { kind: "password", username: pair.slice(0, colon), password: pair.slice(colon + 1).replace(/\0+$/, "") };
}

function formatEntry(credentials: Credentials): JsonObject {
  return credentials.kind === "identity-token"
    ? { identitytoken: credentials.token }
    : { auth: Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64") };
}

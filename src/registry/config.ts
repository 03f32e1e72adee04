/**
 * RegistryConfig: `registry.toml` of a registry's directory. Paths in it are relative to that directory. Unknown keys are errors,
 * because a mistyped key of a server's configuration is a hole that nobody sees.
 */
import { parse } from "smol-toml";
import { Failure } from "../core/failure.ts";
import { asObject, asString, type JsonObject, optional } from "../core/json.ts";

export const CONFIG_NAME = "registry.toml";

export interface RegistryConfig {
  readonly listen: Listen;
  readonly storage: { readonly driver: "files"; readonly directory: string };
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** undefined: everybody may do everything. */
  readonly htpasswd: { readonly file: string; readonly realm: string } | undefined;
}

export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Throws SyntaxError (or TomlError) naming the key. */
export function parseRegistryConfig(text: string): RegistryConfig {
  const object = only(asObject(parse(text), "registry.toml"), "", ["listen", "storage", "tls", "auth"]);
  const storage = only(asObject(object["storage"], "storage"), "storage.", ["driver", "directory"]);
  const driver = asString(storage["driver"], "storage.driver");
  if (driver !== "files")
    throw new SyntaxError(`Cannot read storage.driver: it is ${JSON.stringify(driver)}, wanted "files"`);
  const tls = optional(object["tls"], "tls", asObject);
  const auth = optional(object["auth"], "auth", asObject);
  const htpasswd = auth && optional(only(auth, "auth.", ["htpasswd"])["htpasswd"], "auth.htpasswd", asObject);
  if (tls !== undefined) only(tls, "tls.", ["certificate", "key"]);
  if (htpasswd !== undefined) only(htpasswd, "auth.htpasswd.", ["file", "realm"]);
  return {
    listen: parseListen(asString(object["listen"], "listen")),
    storage: { driver, directory: asString(storage["directory"], "storage.directory") },
    tls: tls && { certificate: asString(tls["certificate"], "tls.certificate"), key: asString(tls["key"], "tls.key") },
    htpasswd: htpasswd && {
      file: asString(htpasswd["file"], "auth.htpasswd.file"),
      realm: optional(htpasswd["realm"], "auth.htpasswd.realm", asString) ?? "berth registry",
    },
  };
}

export function formatRegistryConfig(config: RegistryConfig): string {
  const { listen, storage, tls, htpasswd } = config;
  const quote = (text: string): string => JSON.stringify(text);
  const sections = [
    `listen = ${quote(formatListen(listen))}`,
    `[storage]\ndriver = ${quote(storage.driver)}\ndirectory = ${quote(storage.directory)}`,
    tls && `[tls]\ncertificate = ${quote(tls.certificate)}\nkey = ${quote(tls.key)}`,
    htpasswd && `[auth.htpasswd]\nfile = ${quote(htpasswd.file)}\nrealm = ${quote(htpasswd.realm)}`,
  ];
  return `${sections.filter((section) => section !== undefined).join("\n\n")}\n`;
}

/** `HOST:PORT`, `[IPv6]:PORT` or `:PORT` for every address. Throws SyntaxError. */
export function parseListen(text: string): Listen {
  const match = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]*):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65_535) {
    throw new SyntaxError(`Cannot listen on ${JSON.stringify(text.slice(0, 200))}: wanted HOST:PORT`);
  }
  return { host: match[1] === "" ? "::" : match[1].replace(/^\[|\]$/g, ""), port };
}

export function formatListen(listen: Listen): string {
  return `${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${listen.port}`;
}

/** Failure "usage" for `--listen`. */
export function listenFlag(text: string): Listen {
  try {
    return parseListen(text);
  } catch (error) {
    throw new Failure("usage", "Cannot use --listen", { cause: error });
  }
}

function only(object: JsonObject, where: string, known: readonly string[]): JsonObject {
  for (const key of Object.keys(object)) {
    if (!known.includes(key))
      throw new SyntaxError(`Cannot read registry.toml: key "${where}${key}" is unknown, wanted ${known.join(", ")}`);
  }
  return object;
}

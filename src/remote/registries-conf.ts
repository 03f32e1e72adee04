/**
 * RegistriesConf: registries.conf, version 2, with its drop-ins: which registry is insecure or blocked, where a name really
 * lives, and which mirrors are asked first. Mirrors and rewrites count for pulls only.
 *
 * A user's main file replaces the system's, and then only the user's drop-ins count; a later `[[registry]]` replaces an earlier
 * one of the same prefix. Short names are only suggested for (short-names.ts): an operating system wants a full name.
 *
 * @see containers-registries.conf(5), containers-registries.conf.d(5)
 */
import { parse } from "smol-toml";
import { textToByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { asArray, asObject, asString, asStringMap, type JsonObject, optional } from "../core/json.ts";
import { expandDockerHub, formatImageRef, formatRepository, type ImageRef, parseImageRef } from "../oci/reference.ts";
import { type ConfigHost, userConfigDirectory } from "./context.ts";

export interface RegistriesConf {
  readonly registries: readonly RegistryRule[];
  readonly credentialHelpers: readonly string[] | undefined;
  /** Short name to repository. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Registries where a short name may be. */
  readonly searchRegistries: readonly string[] | undefined;
}

export interface RegistryRule {
  /** `host[/path]`, or `*.domain`. */
  readonly prefix: string;
  /** What replaces the prefix; empty keeps the name. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly MirrorRule[];
}

export interface MirrorRule {
  readonly location: string;
  readonly insecure: boolean;
  readonly pullFrom: "all" | "digest-only" | "tag-only";
}

/** A registry's address for one repository. */
export interface Endpoint {
  /** `host[:port]`, as in the reference. */
  readonly host: string;
  readonly path: string;
  /** Plain HTTP and untrusted certificates are allowed. */
  readonly insecure: boolean;
  readonly isMirror: boolean;
}

/** Failure "bad-input" naming the file. */
export function readRegistriesConf(host: ConfigHost): RegistriesConf {
  const named = host.env["CONTAINERS_REGISTRIES_CONF"];
  const user = userConfigDirectory(host);
  const userMain = user === undefined ? undefined : `${user}/containers/registries.conf`;
  const hasUserMain = userMain !== undefined && host.files.exists(textToByteName(userMain));
  const main = named || (hasUserMain ? userMain : "/etc/containers/registries.conf");
  const dropIns = [
    ...(hasUserMain ? [] : ["/etc/containers/registries.conf.d"]),
    ...(user === undefined ? [] : [`${user}/containers/registries.conf.d`]),
  ].map(textToByteName);
  const files = [
    textToByteName(main),
    ...dropIns.flatMap((directory) =>
      host.files
        .listIfAny(directory)
        .filter((name) => name.endsWith(".conf"))
        .map((name) => `${directory}/${name}`),
    ),
  ];
  let merged = parseRegistriesConf("");
  for (const path of files) {
    const text = host.files.readTextIfAny(path);
    if (text === undefined) continue;
    try {
      merged = mergeConf(merged, parseRegistriesConf(text));
    } catch (error) {
      throw new Failure("bad-input", `Cannot read "${path}": it is malformed`, { cause: error });
    }
  }
  return merged;
}

/** Throws SyntaxError or TomlError. */
export function parseRegistriesConf(text: string): RegistriesConf {
  const object = asObject(parse(text), "registries.conf");
  if (object["registries"] !== undefined) {
    throw new SyntaxError("Cannot read registries.conf: [registries.*] is the format's version 1, wanted [[registry]]");
  }
  const texts = (name: string): readonly string[] | undefined =>
    optional(object[name], name, asArray)?.map((value, i) => asString(value, `${name}[${i}]`));
  const mode = optional(object["short-name-mode"], "short-name-mode", asString);
  if (mode !== undefined && !["enforcing", "permissive", "disabled"].includes(mode)) {
    throw new SyntaxError("Cannot read short-name-mode: wanted enforcing, permissive or disabled");
  }
  const registries = (optional(object["registry"], "registry", asArray) ?? []).map((rule, i) =>
    parseRule(rule, `registry[${i}]`),
  );
  registries.forEach((rule, i) => requireAgreement(registries.slice(0, i), rule, `registry[${i}]`));
  return {
    registries,
    credentialHelpers: texts("credential-helpers"),
    aliases: new Map(Object.entries(optional(object["aliases"], "aliases", asStringMap) ?? {})),
    searchRegistries: texts("unqualified-search-registries"),
  };
}

/** Where to pull `ref` from, first to last. Failure "denied" when it is blocked, "bad-input" for a location that makes no repository. */
export function pullEndpoints(conf: RegistriesConf, ref: ImageRef): readonly Endpoint[] {
  const rule = findRule(conf, ref);
  const full = expandDockerHub(ref);
  const name = formatRepository(full);
  if (rule === undefined) return [endpointOf(name, false, false)];
  const rewrite = (location: string): string =>
    location === ""
      ? name
      : rule.prefix.startsWith("*.")
        ? `${location}/${full.path}`
        : location + name.slice(rule.prefix.length);
  const place = ({ location, insecure }: { location: string; insecure: boolean }, isMirror: boolean): Endpoint =>
    endpointOf(requireRepository(rewrite(location), rule, location), insecure, isMirror);
  const wanted = ref.digest === undefined ? "tag-only" : "digest-only";
  const mirrors = rule.mirrors.filter(({ pullFrom }) => pullFrom === "all" || pullFrom === wanted);
  return [...mirrors.map((mirror) => place(mirror, true)), place(rule, false)];
}

/** Where to push `ref` to. Failure "denied" when it is blocked. */
export function pushEndpoint(conf: RegistriesConf, ref: ImageRef): Endpoint {
  return endpointOf(formatRepository(expandDockerHub(ref)), findRule(conf, ref)?.insecure ?? false, false);
}

function findRule(conf: RegistriesConf, ref: ImageRef): RegistryRule | undefined {
  const full = expandDockerHub(ref);
  const name = formatImageRef(full);
  const matching = conf.registries.filter((rule) => matchesPrefix(rule.prefix, name, full.host));
  const longest = matching.sort((left, right) => right.prefix.length - left.prefix.length)[0];
  if (longest?.blocked === true) {
    throw new Failure("denied", `Cannot use "${formatImageRef(ref)}": registries.conf blocks "${longest.prefix}"`);
  }
  return longest;
}

function matchesPrefix(prefix: string, name: string, host: string): boolean {
  if (prefix.startsWith("*.")) return host.replace(/:\d+$/, "").endsWith(prefix.slice(1));
  return name.startsWith(prefix) && (name.length === prefix.length || "/:@".includes(name.charAt(prefix.length)));
}

/** A location stands for the whole prefix, as in the containers tools: for one that names a repository it must name one, too. */
function requireRepository(name: string, rule: RegistryRule, location: string): string {
  try {
    if (formatRepository(parseImageRef(name)) === name) return name;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new Failure(
    "bad-input",
    `Cannot use the location "${location}" of prefix "${rule.prefix}" in registries.conf: it makes "${name}", wanted HOST/REPOSITORY`,
    { hint: `the location replaces the whole prefix: write the repository behind "${location}", too` },
  );
}

function endpointOf(name: string, insecure: boolean, isMirror: boolean): Endpoint {
  const slash = name.indexOf("/");
  return { host: name.slice(0, slash), path: name.slice(slash + 1), insecure, isMirror };
}

function parseRule(value: unknown, what: string): RegistryRule {
  const object = asObject(value, what);
  const location = optional(object["location"], `${what}.location`, asString) ?? "";
  const prefix = optional(object["prefix"], `${what}.prefix`, asString) ?? location;
  if (prefix === "") throw new SyntaxError(`Cannot read ${what}: it has neither prefix nor location`);
  if (prefix.lastIndexOf("*") > 0 || (prefix.startsWith("*") && !/^\*\.[^/]+$/.test(prefix))) {
    throw new SyntaxError(`Cannot read ${what}.prefix ${JSON.stringify(prefix)}: a wildcard is only *.domain`);
  }
  const mirrorByDigestOnly = readSwitch(object, "mirror-by-digest-only", what);
  return {
    prefix: trimSlash(prefix),
    location: trimSlash(location),
    insecure: readSwitch(object, "insecure", what),
    blocked: readSwitch(object, "blocked", what),
    mirrors: (optional(object["mirror"], `${what}.mirror`, asArray) ?? []).map((mirror, i) =>
      parseMirror(mirror, `${what}.mirror[${i}]`, mirrorByDigestOnly),
    ),
  };
}

/** The first of two rules with one prefix counts: a later one must not look as if it blocked something. */
function requireAgreement(earlier: readonly RegistryRule[], { prefix, ...rule }: RegistryRule, what: string): void {
  for (const name of ["blocked", "insecure"] as const) {
    if (earlier.every((other) => other.prefix !== prefix || other[name] === rule[name])) continue;
    throw new SyntaxError(`Cannot read ${what}.${name}: an earlier [[registry]] says otherwise of "${prefix}"`);
  }
}

/** Anything but true and false is refused: `blocked = "yes"` must not mean no. */
function readSwitch(object: JsonObject, name: string, what: string): boolean {
  const value = object[name] ?? false;
  if (typeof value !== "boolean") throw new SyntaxError(`Cannot read ${what}.${name}: wanted true or false`);
  return value;
}

function parseMirror(value: unknown, what: string, byDigestOnly: boolean): MirrorRule {
  const object = asObject(value, what);
  const given = optional(object["pull-from-mirror"], `${what}.pull-from-mirror`, asString);
  if (byDigestOnly && given !== undefined) {
    throw new SyntaxError(`Cannot read ${what}.pull-from-mirror: mirror-by-digest-only of the registry is set, too`);
  }
  const pullFrom = given ?? (byDigestOnly ? "digest-only" : "all");
  if (pullFrom !== "all" && pullFrom !== "digest-only" && pullFrom !== "tag-only") {
    throw new SyntaxError(`Cannot read ${what}.pull-from-mirror: wanted all, digest-only or tag-only`);
  }
  const location = trimSlash(asString(object["location"], `${what}.location`));
  return { location, insecure: readSwitch(object, "insecure", what), pullFrom };
}

function mergeConf(earlier: RegistriesConf, later: RegistriesConf): RegistriesConf {
  const replaced = new Set(later.registries.map((rule) => rule.prefix));
  return {
    registries: [...earlier.registries.filter((rule) => !replaced.has(rule.prefix)), ...later.registries],
    credentialHelpers: later.credentialHelpers ?? earlier.credentialHelpers,
    aliases: new Map([...earlier.aliases, ...later.aliases]),
    searchRegistries: later.searchRegistries ?? earlier.searchRegistries,
  };
}

function trimSlash(text: string): string {
  return text.replace(/\/+$/, "");
}

/**
 * suggestFullNames(): what a name without a registry may stand for. Only for hints: the words of a person choose the registry, not
 * a search order that another package may have put there.
 *
 * @see containers-registries.conf(5) "SHORT-NAME ALIASING"
 */
import { parse } from "smol-toml";
import { textToByteName } from "../core/bytes.ts";
import { asObject, asStringMap, optional } from "../core/json.ts";
import { expandDockerHub, formatImageRef, parseImageRef } from "../oci/reference.ts";
import type { ConfigHost } from "./context.ts";
import { readRegistriesConf } from "./registries-conf.ts";

/** An alias is the only answer; else one for each registry that is searched. Empty for what is no name. */
export function suggestFullNames(host: ConfigHost, text: string): readonly string[] {
  const [, name = "", version = ""] = /^([^:@]+)(.*)$/.exec(text) ?? [];
  const { aliases, searchRegistries = [] } = readRegistriesConf(host);
  // An empty alias of a later file takes an earlier one away.
  const alias = readRecordedAliases(host).get(name) ?? aliases.get(name) ?? "";
  const candidates = alias === "" ? searchRegistries.map((registry) => `${registry}/${name}`) : [alias];
  return candidates.flatMap((candidate) => fullName(`${candidate}${version}`) ?? []);
}

/** Those that podman wrote down when somebody chose. A file that cannot be read suggests nothing. */
function readRecordedAliases(host: ConfigHost): ReadonlyMap<string, string> {
  const home = host.env["XDG_CACHE_HOME"] ?? `${host.env["HOME"] ?? ""}/.cache`;
  const directory = host.user.uid === 0 ? "/var/cache" : home;
  const text = host.files.readTextIfAny(textToByteName(`${directory}/containers/short-name-aliases.conf`));
  try {
    const object = asObject(parse(text ?? ""), "aliases");
    return new Map(Object.entries(optional(object["aliases"], "aliases", asStringMap) ?? {}));
  } catch {
    return new Map();
  }
}

function fullName(text: string): string | undefined {
  try {
    return formatImageRef(expandDockerHub(parseImageRef(text)));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

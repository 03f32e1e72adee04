/**
 * The host's apt sources, read so that a base image comes from the mirror that this machine already uses. Both notations:
 * one line each (`deb [options] URI suite component…`) and deb822 stanzas.
 *
 * @see sources.list(5)
 */
import { Failure } from "../../core/failure.ts";

export interface AptSource {
  readonly types: readonly string[];
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Path of a keyring, fingerprint, or an armoured key itself. */
  readonly signedBy: string | undefined;
}

/** Where Debian's packages come from. URIs without a trailing slash. */
export interface DebianMirror {
  readonly archive: string;
  /** undefined: updates of the security team are not to be had. */
  readonly security: string | undefined;
}

/** `sources.list` and `*.list`. Throws SyntaxError with the line's number. */
export function parseSourceLines(text: string): AptSource[] {
  return text.split("\n").flatMap((raw, i) => {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") return [];
    const match = /^(deb|deb-src)\s+(?:\[([^\]]*)\]\s*)?([^\s[]\S*)\s+(\S+)((?:\s+\S+)*)$/.exec(line);
    if (match === null) throw new SyntaxError(`line ${i + 1}: wanted "deb [options] URI suite component…"`);
    const [, type = "", options = "", uri = "", suite = "", components = ""] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1];
    return [{ types: [type], uris: [uri], suites: [suite], components: words(components), signedBy }];
  });
}

/** `*.sources`. Stanzas with `Enabled: no` are left out. Throws SyntaxError with the line's number. */
export function parseSourceStanzas(text: string): AptSource[] {
  const sources: AptSource[] = [];
  let fields = new Map<string, string>();
  let last: string | undefined;
  const finish = (): void => {
    if (fields.size > 0 && !/^(no|false|without|off|disable)$/i.test(fields.get("enabled") ?? "yes"))
      sources.push(toSource(fields));
    fields = new Map();
    last = undefined;
  };
  text.split("\n").forEach((line, i) => {
    if (line.startsWith("#")) return;
    if (line.trim() === "") return finish();
    const field = /^([A-Za-z0-9-]+):(.*)$/.exec(line);
    if (field !== null) {
      last = (field[1] ?? "").toLowerCase();
      fields.set(last, (field[2] ?? "").trim());
    } else if (/^[ \t]/.test(line) && last !== undefined) {
      fields.set(last, `${fields.get(last) ?? ""}\n${line.trim()}`);
    } else throw new SyntaxError(`line ${i + 1}: wanted "Field: value"`);
  });
  finish();
  return sources;
}

function toSource(fields: ReadonlyMap<string, string>): AptSource {
  const list = (name: string): string[] => words(fields.get(name) ?? "");
  return {
    types: list("types"),
    uris: list("uris"),
    suites: list("suites"),
    components: list("components"),
    signedBy: fields.get("signed-by")?.trim(),
  };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

const DEBIAN = "(?:stable|oldstable|testing|sid|unstable|bullseye|bookworm|trixie|forky|duke)";
const ARCHIVE_SUITE = new RegExp(`^${DEBIAN}(?:-updates|-proposed-updates|-backports)?$`);
const SECURITY_SUITE = new RegExp(`^${DEBIAN}(?:-security|/updates)$`);

/** Finds Debian's archive among the host's sources: by the names of its suites, since no mirror's name is known. */
export function findMirror(sources: readonly AptSource[]): DebianMirror | undefined {
  const uriOf = (suite: RegExp): string | undefined =>
    sources
      .filter((source) => source.types.includes("deb") && source.components.includes("main"))
      .find((source) => source.suites.some((name) => suite.test(name)))
      ?.uris.map(trimUri)
      .find((uri) => /^(https?|file|copy|ftp|tor\+https?|mirror\+\w+):/.test(uri));
  const archive = uriOf(ARCHIVE_SUITE);
  return archive === undefined ? undefined : { archive, security: uriOf(SECURITY_SUITE) };
}

/** The URI of a mirror as a person gave it. Throws Failure "usage". */
export function parseMirror(text: string): string {
  if (!/^(https?|file|ftp):\/\/\S+$/.test(text)) {
    throw new Failure("usage", `Cannot use mirror "${text}": wanted a URL such as http://HOST/debian or file:///PATH`);
  }
  return trimUri(text);
}

export function trimUri(uri: string): string {
  return uri.replace(/\/+$/, "");
}

/** Values of `apt-config dump`: the settings that say how an archive is reached and trusted. */
export function parseAptSettings(dump: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const [, name = "", value = ""] of dump.matchAll(/^([A-Za-z0-9:_./+-]+) "((?:[^"\\]|\\.)*)";$/gm))
    settings.set(name, value);
  return settings;
}

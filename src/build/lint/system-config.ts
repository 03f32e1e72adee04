/**
 * What tmpfiles.d and sysusers.d of an image say, as far as the lints ask.
 *
 * @see tmpfiles.d(5), sysusers.d(5)
 */
import type { LintRoot } from "./lint-root.ts";

export interface SysusersNames {
  readonly users: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

/** A `u` line makes a group of the same name too. */
export function readSysusers(root: LintRoot): SysusersNames {
  const users = new Set<string>(["root"]);
  const groups = new Set<string>(["root"]);
  for (const words of configLines(root, ["usr/lib/sysusers.d"])) {
    const [type = "", name = "", , , , group = ""] = words;
    if (type.startsWith("u")) {
      users.add(name);
      groups.add(name);
    }
    if (type === "g") groups.add(name);
    if (type === "m") {
      users.add(name);
      groups.add(words[2] ?? group);
    }
  }
  return { users, groups };
}

export interface TmpfilesIndex {
  /** A line makes exactly this path. */
  creates(path: string): boolean;
  /** A line takes this path out of everybody's care. */
  ignores(path: string): boolean;
}

const CREATING = /^[dDvqQLCfFpbcw][+!=~^$-]*$/;

/** The parents of what a line makes are made with it. */
export function createTmpfilesIndex(root: LintRoot): TmpfilesIndex {
  const paths = new Set<string>(["/var"]);
  const patterns: RegExp[] = [];
  const ignored: RegExp[] = [];
  for (const [type = "", path = ""] of configLines(root, ["usr/lib/tmpfiles.d", "etc/tmpfiles.d"])) {
    const clean = path.replaceAll("%%", "%").replace(/(?<=.)\/+$/, "");
    if (/^[xX]/.test(type)) ignored.push(pattern(clean));
    if (/^[eZzmM]/.test(type)) patterns.push(pattern(clean));
    if (!CREATING.test(type)) continue;
    for (let at = clean; at.length > 1; at = at.slice(0, at.lastIndexOf("/"))) paths.add(at);
  }
  return {
    creates: (path) => paths.has(path) || patterns.some((candidate) => candidate.test(path)),
    ignores: (path) => ignored.some((candidate) => candidate.test(path)),
  };
}

function pattern(text: string): RegExp {
  return new RegExp(
    `^${text
      .replace(/[$()+.\\^{|}]/g, "\\$&")
      .replaceAll("*", "[^/]*")
      .replaceAll("?", "[^/]")}$`,
    "s",
  );
}

/** Words of all lines; a file of an earlier directory is hidden by one of the same name in a later one. */
function configLines(root: LintRoot, directories: readonly string[]): string[][] {
  const files = new Map<string, string>();
  for (const directory of directories) {
    for (const name of root.list(directory)) if (name.endsWith(".conf")) files.set(name, `${directory}/${name}`);
  }
  return [...files.values()].flatMap((path) =>
    (root.text(path) ?? "").split("\n").flatMap((line) => (/^\s*(?:#|$)/.test(line) ? [] : [splitWords(line)])),
  );
}

function splitWords(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? "",
  );
}

/**
 * Boot entry of type 1: one `*.conf` file below loader/entries, lines of `key value`.
 *
 * @see UAPI.1 Boot Loader Specification
 */
import { compareVersions } from "./version.ts";

export interface BlsEntry {
  readonly title: string | undefined;
  readonly version: string | undefined;
  readonly machineId: string | undefined;
  readonly sortKey: string | undefined;
  /** Path on the file system that holds the entry; undefined for a UKI entry. */
  readonly linux: string | undefined;
  readonly initrd: readonly string[];
  /** The `options` lines, joined by a blank. */
  readonly options: string;
  /** Keys that this program does not know, kept as they are (`uki`, `efi`, `grub_users`, ...). */
  readonly extras: readonly (readonly [key: string, value: string])[];
}

/** An entry under the name of its file. */
export interface NamedEntry {
  /** With `.conf`. */
  readonly name: string;
  readonly entry: BlsEntry;
}

/** Throws SyntaxError for a line without a value; unknown keys are kept. */
export function parseBlsEntry(text: string): BlsEntry {
  const known = new Map<string, string[]>();
  const extras: [string, string][] = [];
  text.split("\n").forEach((line, i) => {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return;
    const match = /^(\S+)\s+(.*)$/.exec(trimmed);
    const key = match?.[1];
    const value = match?.[2];
    if (key === undefined || value === undefined) {
      throw new SyntaxError(
        `Cannot parse boot entry, line ${i + 1}: ${JSON.stringify(trimmed.slice(0, 80))} is no "key value"`,
      );
    }
    if (KNOWN.has(key)) known.set(key, [...(known.get(key) ?? []), value]);
    else extras.push([key, value]);
  });
  const last = (key: string): string | undefined => known.get(key)?.at(-1);
  return {
    title: last("title"),
    version: last("version"),
    machineId: last("machine-id"),
    sortKey: last("sort-key"),
    linux: last("linux"),
    initrd: known.get("initrd") ?? [],
    options: (known.get("options") ?? []).join(" "),
    extras,
  };
}

/** Keys in bootc's order: title, version, linux, initrd, options, machine-id, sort-key, the others. */
export function formatBlsEntry(entry: BlsEntry): string {
  const lines: [string, string | undefined][] = [
    ["title", entry.title],
    ["version", entry.version],
    ["linux", entry.linux],
    ...entry.initrd.map((path): [string, string] => ["initrd", path]),
    ["options", entry.options === "" ? undefined : entry.options],
    ["machine-id", entry.machineId],
    ["sort-key", entry.sortKey],
    ...entry.extras.map(([key, value]): [string, string] => [key, value]),
  ];
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("");
}

/**
 * systemd-boot's order, default first: entries that used up their boot attempts last; entries with a sort-key before those without;
 * sort-key ascending, machine-id ascending, version descending; then the file name, descending as a version.
 */
export function compareEntries(left: NamedEntry, right: NamedEntry): number {
  const exhausted = Number(triesLeft(left.name) === 0) - Number(triesLeft(right.name) === 0);
  if (exhausted !== 0) return exhausted;
  const a = left.entry;
  const b = right.entry;
  if ((a.sortKey === undefined) !== (b.sortKey === undefined)) return a.sortKey === undefined ? 1 : -1;
  if (a.sortKey !== undefined && b.sortKey !== undefined) {
    const order =
      compareText(a.sortKey, b.sortKey) ||
      compareText(a.machineId ?? "", b.machineId ?? "") ||
      -compareVersions(a.version ?? "", b.version ?? "");
    if (order !== 0) return order;
  }
  return -compareVersions(baseName(left.name), baseName(right.name));
}

/** The name without `.conf` and without the boot counter `+LEFT[-DONE]`. */
export function baseName(name: string): string {
  return name.replace(/\.conf$/, "").replace(COUNTER, "");
}

/** Boot attempts left by the counter in the name; undefined when nothing is counted. */
export function triesLeft(name: string): number | undefined {
  const left = COUNTER.exec(name.replace(/\.conf$/, ""))?.[1];
  return left === undefined ? undefined : Number(left);
}

const COUNTER = /\+(\d+)(?:-\d+)?$/;
const KNOWN = new Set(["title", "version", "machine-id", "sort-key", "linux", "initrd", "options"]);

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * Kernel arguments that an image asks for: /usr/lib/bootc/kargs.d/*.toml with `kargs = [..]` and optionally
 * `match-architectures = [..]`. On an upgrade only the difference between the two images is applied, so that what an
 * administrator added on the machine stays.
 */
import { parse } from "smol-toml";
import { splitCommandLine, sameParameter, withoutParameters, withParameters } from "./cmdline.ts";

export interface KargsFile {
  readonly kargs: readonly string[];
  /** Names as Rust spells them (x86_64, aarch64, ...); undefined for all. */
  readonly matchArchitectures: readonly string[] | undefined;
}

export interface KargsDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Throws SyntaxError for malformed TOML, for a missing `kargs` and for any other key. */
export function parseKargsFile(text: string, name: string): KargsFile {
  const bad = (why: string): SyntaxError =>
    new SyntaxError(`Cannot parse kernel arguments ${JSON.stringify(name)}: ${why}`);
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (error) {
    throw bad(error instanceof Error ? (error.message.split("\n")[0] ?? "not TOML") : "not TOML");
  }
  for (const key of Object.keys(table)) {
    if (key !== "kargs" && key !== "match-architectures") throw bad(`unknown key ${JSON.stringify(key)}`);
  }
  const strings = (key: string): string[] | undefined => {
    const value = table[key];
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw bad(`${key} is no array of strings`);
    return value.map((entry) => {
      if (typeof entry !== "string") throw bad(`${key} is no array of strings`);
      // It would swallow the arguments behind it.
      if (entry.split('"').length % 2 === 0) throw bad(`${JSON.stringify(entry)} has a quote without its end`);
      return entry;
    });
  };
  const kargs = strings("kargs");
  if (kargs === undefined) throw bad("kargs is missing");
  return { kargs: kargs.flatMap(splitCommandLine), matchArchitectures: strings("match-architectures") };
}

/** The arguments of all files (sorted by name by the caller) that apply to this OCI architecture. */
export function kargsFor(files: readonly KargsFile[], architecture: string): string[] {
  const name = RUST_ARCHITECTURES[architecture] ?? architecture;
  return files
    .filter((file) => file.matchArchitectures === undefined || file.matchArchitectures.includes(name))
    .flatMap((file) => file.kargs);
}

export function diffKargs(before: readonly string[], after: readonly string[]): KargsDiff {
  const lacks = (words: readonly string[]) => (word: string) => !words.some((other) => sameParameter(word, other));
  return { added: after.filter(lacks(before)), removed: before.filter(lacks(after)) };
}

export function applyKargsDiff(words: readonly string[], diff: KargsDiff): string[] {
  return withParameters(withoutParameters(words, diff.removed), diff.added);
}

const RUST_ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: "x86_64",
  arm64: "aarch64",
  "386": "x86",
  ppc64le: "powerpc64",
  riscv64: "riscv64",
  s390x: "s390x",
};

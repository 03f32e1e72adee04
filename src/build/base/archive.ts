/**
 * openArchive(): asks a mirror which suites it has and when they were made, before anything is built. The downloads go through
 * apt's own helper, so that proxies, credentials and transports are those of the host's apt; apt verifies signatures later.
 *
 * @see Debian repository format, "Release files"
 */
import { digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import {
  type AptSource,
  type DebianMirror,
  findMirror,
  parseAptSettings,
  parseSourceLines,
  parseSourceStanzas,
  trimUri,
} from "./apt-sources.ts";
import type { Suite } from "./suites.ts";

export interface ReleasedSuite {
  readonly uri: string;
  readonly suite: string;
  /** Seconds since the epoch: the Release file's Date. */
  readonly dateSec: number;
  /** sha256 of the InRelease file. */
  readonly digest: string;
}

export interface Archive {
  readonly suites: readonly ReleasedSuite[];
  /** Date of the newest of them. */
  readonly dateSec: number;
}

type ArchiveHost = Pick<Host, "files" | "exec">;

const APT_HELPER = "/usr/lib/apt/apt-helper";
/** Settings of the host's apt that the image needs too: whether old Release files are accepted. */
const KEPT_SETTINGS = ["Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Max-FutureTime"];
/** Settings that only the build needs. */
const BUILD_SETTINGS = /^Acquire::(?:https?|ftp)::(?:Proxy|Timeout|Verify-Peer|CaInfo)(?:::|$)/;

export interface AptSettings {
  /** Lines of apt.conf for the image. */
  readonly image: readonly string[];
  /** Lines for the build only (proxies). */
  readonly build: readonly string[];
}

export async function readAptSettings(host: ArchiveHost): Promise<AptSettings> {
  const dump = await host.exec(["apt-config", "dump"], { timeoutMs: 30_000 });
  const settings = parseAptSettings(dump.stdout.toString("utf8"));
  const line = (name: string): string => `${name} "${settings.get(name)}";`;
  return {
    image: KEPT_SETTINGS.filter((name) => settings.has(name)).map(line),
    build: [...settings.keys()].filter((name) => BUILD_SETTINGS.test(name)).map(line),
  };
}

/** Reads /etc/apt. Files that apt itself would ignore are ignored. Failure "bad-input" names file and line. */
export function readHostSources(host: Pick<Host, "files">): AptSource[] {
  const folder = "/etc/apt/sources.list.d";
  const names = host.files.listIfAny(folder).filter((name) => /^[A-Za-z0-9_.-]+\.(?:list|sources)$/.test(name));
  return ["/etc/apt/sources.list", ...names.map((name) => `${folder}/${name}`)].flatMap((path) => {
    const text = host.files.readTextIfAny(path);
    if (text === undefined) return [];
    try {
      return path.endsWith(".sources") ? parseSourceStanzas(text) : parseSourceLines(text);
    } catch (cause) {
      throw new Failure(
        "bad-input",
        `Cannot read apt sources "${path}": ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
  });
}

/** The mirror named, else the one of the host's apt. */
export function chooseMirror(
  host: Pick<Host, "files">,
  named: { mirror?: string | undefined; securityMirror?: string | undefined },
): DebianMirror {
  const found = findMirror(readHostSources(host));
  if (named.mirror !== undefined) {
    const sibling = named.mirror.endsWith("/debian") ? `${named.mirror}-security` : undefined;
    return { archive: trimUri(named.mirror), security: named.securityMirror ?? sibling };
  }
  if (found === undefined) {
    throw new Failure("not-found", "Cannot choose a Debian mirror: the host's apt sources name none", {
      hint: "name one with --mirror URL",
    });
  }
  return { archive: found.archive, security: named.securityMirror ?? found.security };
}

/** `scratch` is a directory for the downloads. Failure when the suite, or the kernel's suite, is not there. */
export async function openArchive(
  host: ArchiveHost,
  options: { mirror: DebianMirror; suite: Suite; scratch: string; signal?: AbortSignal | undefined },
): Promise<Archive> {
  const { mirror, suite } = options;
  const fetch = (uri: string, name: string): Promise<ReleasedSuite | string> =>
    fetchRelease(host, { ...options, uri, name });
  const main = await fetch(mirror.archive, suite.name);
  if (typeof main === "string") {
    throw new Failure(
      "not-found",
      `Cannot use mirror "${mirror.archive}": suite "${suite.name}" cannot be read there`,
      {
        hint: `${main}; another mirror can be named with --mirror URL`,
      },
    );
  }
  const kernel = suite.kernelSuite === suite.name ? main : await fetch(mirror.archive, suite.kernelSuite);
  if (typeof kernel === "string") {
    throw new Failure(
      "not-found",
      `Cannot use mirror "${mirror.archive}": suite "${suite.kernelSuite}" cannot be read there`,
      {
        hint: `Debian ${suite.version} takes its kernel 6.12 from it; name a mirror that has it with --mirror URL (${kernel})`,
      },
    );
  }
  const optional = [
    await fetch(mirror.archive, `${suite.name}-updates`),
    mirror.security === undefined ? "" : await fetch(mirror.security, `${suite.name}-security`),
  ];
  const suites = [main, kernel, ...optional].filter(
    (found, i, all) => typeof found !== "string" && all.indexOf(found) === i,
  );
  const released = suites.filter((found) => typeof found !== "string");
  return { suites: released, dateSec: Math.max(...released.map((found) => found.dateSec)) };
}

/** The text of the error when it cannot be had. */
async function fetchRelease(
  host: ArchiveHost,
  options: { uri: string; name: string; scratch: string; signal?: AbortSignal | undefined },
): Promise<ReleasedSuite | string> {
  const target = `${options.scratch}/InRelease`;
  host.files.remove(target);
  const result = await host.exec(
    [APT_HELPER, "-q", "download-file", `${options.uri}/dists/${options.name}/InRelease`, target],
    {
      timeoutMs: 120_000,
      signal: options.signal,
      check: false,
    },
  );
  const text = host.files.readTextIfAny(target);
  if (result.exitCode !== 0 || text === undefined) return firstError(result.stderr.toString("utf8"));
  return { uri: options.uri, suite: options.name, dateSec: parseReleaseDate(text), digest: digestOf(text) };
}

/** Seconds since the epoch of a Release file's Date. Throws SyntaxError when it has none. */
export function parseReleaseDate(text: string): number {
  const line = /^Date: (.+)$/m.exec(text)?.[1];
  const date = line === undefined ? Number.NaN : Date.parse(line);
  if (Number.isNaN(date)) throw new SyntaxError("Cannot read Release file: it has no valid Date");
  return Math.trunc(date / 1000);
}

function firstError(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.startsWith("E: "));
  return lines[0]?.slice(3).trim() ?? "apt-helper gave no reason";
}

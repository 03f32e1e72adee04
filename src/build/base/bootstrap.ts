/**
 * bootstrap(): Debian's packages installed into a directory by mmdebstrap. What was downloaded is kept in a cache beside the
 * store, so that the next build fetches only what is new. mmdebstrap mounts and starts much; it runs on a leash, so that nothing of it
 * outlives us.
 *
 * @see mmdebstrap(1)
 */
import { leashed } from "../../containers/leash.ts";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import type { AptSettings, Archive } from "./archive.ts";
import { KERNEL_PACKAGE } from "./kernel-package.ts";
import type { Suite } from "./suites.ts";

export interface BootstrapOptions {
  readonly suite: Suite;
  readonly archive: Archive;
  readonly settings: AptSettings;
  readonly packages: readonly string[];
  /** A line of sources.list for berth's own package. */
  readonly ownSource: string;
  /** The new root; must not exist. */
  readonly root: string;
  /** Directory of .deb files. */
  readonly cache: string;
  /** Directory for what mmdebstrap leaves when it is killed. */
  readonly temporary: string;
  /** File for all that mmdebstrap says. */
  readonly log: string;
  readonly epochSec: number;
  readonly signal?: AbortSignal | undefined;
  /** A line of mmdebstrap's output. */
  readonly onLine: (line: string) => void;
}

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MERGED_USR_HOOK = "/usr/share/mmdebstrap/hooks/merged-usr";
const TIMEOUT_MS = 45 * 60_000;

/** Lines of sources.list, without a trailing newline. */
export function sourceLines(archive: Archive): string[] {
  return archive.suites.map(({ uri, suite }) => `deb [signed-by=${KEYRING}] ${uri} ${suite} main`);
}

export async function bootstrap(host: Pick<Host, "files" | "exec" | "env">, options: BootstrapOptions): Promise<void> {
  if (!host.files.exists(KEYRING)) {
    throw new Failure("missing-tool", `Cannot check Debian's signatures: "${KEYRING}" is missing`, {
      hint: "install the package debian-archive-keyring",
    });
  }
  host.files.makeDirectory(options.cache);
  host.files.remove(options.log);
  using log = host.files.open(options.log, "create", 0o644);
  const errors: string[] = [];
  let tail = "";
  const onOutput = (chunk: Uint8Array): void => {
    log.write(chunk);
    const lines = `${tail}${Buffer.from(chunk).toString("utf8")}`.split("\n");
    tail = lines.pop() ?? "";
    for (const line of lines) {
      if (/^(?:E: |dpkg: error|Err:)/.test(line) && !/setup failed|failed to run/.test(line))
        errors.push(line.replace(/^E: /, ""));
      options.onLine(line);
    }
  };
  const result = await host.exec(leashed(mmdebstrapArgv(options)), {
    timeoutMs: TIMEOUT_MS,
    endWith: "SIGKILL",
    signal: options.signal,
    env: environment(host, options),
    check: false,
    onStdout: onOutput,
    onStderr: onOutput,
  });
  if (result.exitCode === 0) return;
  throw new Failure(
    "exec-failed",
    `Cannot install Debian's packages: ${errors[0] ?? `mmdebstrap ended with status ${result.exitCode}`}`,
    {
      hint: `all that mmdebstrap said is in "${options.log}"`,
    },
  );
}

export function mmdebstrapArgv(options: Omit<BootstrapOptions, "onLine" | "signal" | "log" | "temporary">): string[] {
  const cache = shellQuote(options.cache);
  const settings = [
    'APT::Install-Recommends "false";',
    'Acquire::Languages "none";',
    // The store is closed to apt's own user.
    'APT::Sandbox::User "root";',
    ...options.settings.image,
    ...options.settings.build,
  ];
  return [
    "mmdebstrap",
    "--verbose",
    "--mode=root",
    "--variant=apt",
    "--format=directory",
    `--include=${[...options.packages, KERNEL_PACKAGE].join(",")}`,
    ...settings.map((line) => `--aptopt=${line.replace(/;$/, "")}`),
    // Nobody reads this tree after a power cut.
    "--dpkgopt=force-unsafe-io",
    ...(options.suite.linksByHook ? [`--hook-dir=${MERGED_USR_HOOK}`] : []),
    "--skip=download/empty",
    "--skip=essential/unlink",
    `--setup-hook=mkdir -p "$1"/var/cache/apt/archives && find ${cache} -name "*.deb" -exec cp -t "$1"/var/cache/apt/archives {} +`,
    `--customize-hook=APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -q autoclean >/dev/null`,
    `--customize-hook=rm -f ${cache}/*.deb && find "$1"/var/cache/apt/archives -maxdepth 1 -name "*.deb" ! -name "${KERNEL_PACKAGE}_*" -exec cp -t ${cache} {} +`,
    options.suite.name,
    options.root,
    ...sourceLines(options.archive),
    options.ownSource,
  ];
}

function environment(
  host: Pick<Host, "env">,
  { epochSec, temporary }: Pick<BootstrapOptions, "epochSec" | "temporary">,
): Record<string, string> {
  const kept = ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => {
    const value = host.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LC_ALL: "C.UTF-8",
    SOURCE_DATE_EPOCH: String(epochSec),
    DEBIAN_FRONTEND: "noninteractive",
    PYTHONHASHSEED: "0",
    TMPDIR: temporary,
    ...Object.fromEntries(kept),
  };
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * findCredentials(): who we are for a registry. One search over what the containers tools, docker and the ostree/bootc family
 * read, in that order, which also says where it looked: the usual complaint about an upgrade that is refused is that nobody
 * knows which file counted.
 *
 * @see containers-auth.json(5); docker-credential-helpers protocol; bootc "secrets" (ostree paths)
 */
import { textToByteName } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { asString, parseJsonObject } from "../core/json.ts";
import { type AuthFile, type Credentials, normalizeKey, parseAuthFile } from "./auth-file.ts";
import { type ConfigHost, userConfigDirectory } from "./context.ts";

export interface CredentialSearch {
  readonly credentials: Credentials | undefined;
  /** In the order looked at, up to the one that matched. */
  readonly steps: readonly SearchStep[];
}

export interface SearchStep {
  /** A path, or `docker-credential-<suffix>`. */
  readonly source: string;
  readonly outcome: "absent" | "unreadable" | "no entry" | "matched";
  /** The key that matched. */
  readonly key?: string;
}

export interface AuthFilePath {
  readonly path: string;
  readonly shape: "auths" | "dockercfg";
}

interface SearchOptions {
  readonly authFile?: string | undefined;
  /** From registries.conf; the files are `containers-auth.json`. */
  readonly helpers?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The name that registries.conf has for the files themselves. */
export const FILES_HELPER = "containers-auth.json";

/** `repository` is `host[:port]/path`, or a host alone. Failure "bad-input" for a file that is malformed. */
export async function findCredentials(
  host: ConfigHost & Pick<Host, "exec">,
  repository: string,
  options: SearchOptions = {},
): Promise<CredentialSearch> {
  const keys = searchKeys(repository);
  const steps: SearchStep[] = [];
  for (const helper of options.helpers ?? [FILES_HELPER]) {
    if (helper !== FILES_HELPER) {
      const credentials = await askHelper(
        host,
        { suffix: helper, namedIn: "registries.conf" },
        keys,
        steps,
        options.signal,
      );
      if (credentials !== undefined) return { credentials, steps };
      continue;
    }
    for (const file of authFiles(host, options.authFile)) {
      const credentials = await searchFile(host, file, keys, steps, options);
      if (credentials !== undefined) return { credentials, steps };
    }
  }
  return { credentials: undefined, steps };
}

/** One sentence for errors: where credentials were looked for, and which entry was used. */
export function describeSearch(search: CredentialSearch): string {
  const matched = search.steps.find((step) => step.outcome === "matched");
  if (matched !== undefined) return `used the entry "${matched.key}" of ${matched.source}`;
  const looked = search.steps.map((step) => `${step.source} (${step.outcome})`).join(", ");
  return looked === "" ? "no place to look for credentials" : `looked in ${looked}`;
}

/** The files that count, first wins. The first is where `berth login` writes. */
export function authFiles(host: ConfigHost, authFile?: string): readonly AuthFilePath[] {
  const chosen = authFile ?? nonEmpty(host.env["REGISTRY_AUTH_FILE"]);
  if (chosen !== undefined) return [{ path: textToByteName(chosen), shape: "auths" }];
  const home = nonEmpty(host.env["HOME"]);
  const runtime = nonEmpty(host.env["XDG_RUNTIME_DIR"]);
  const config = userConfigDirectory(host);
  const docker = nonEmpty(host.env["DOCKER_CONFIG"]) ?? (home && `${home}/.docker`);
  const paths = [
    ...(runtime === undefined ? [] : [`${runtime}/containers/auth.json`]),
    `/run/containers/${host.user.uid}/auth.json`,
    ...(config === undefined ? [] : [`${config}/containers/auth.json`]),
    ...(docker === undefined ? [] : [`${docker}/config.json`]),
    ...(home === undefined ? [] : [`${home}/.dockercfg`]),
    "/etc/ostree/auth.json",
    "/run/ostree/auth.json",
    "/usr/lib/ostree/auth.json",
  ];
  return [...new Set(paths)].map((path) => ({
    path: textToByteName(path),
    shape: path.endsWith("/.dockercfg") ? "dockercfg" : "auths",
  }));
}

/** Runs `docker-credential-<suffix> <verb>`; undefined when it says that there is no such entry. */
export async function runHelper(
  host: Pick<Host, "exec">,
  suffix: string,
  verb: "get" | "store" | "erase" | "list",
  input: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(suffix)) {
    throw new Failure("bad-input", `Cannot use credential helper ${JSON.stringify(suffix)}: it is no program's name`);
  }
  const program = `docker-credential-${suffix}`;
  const result = await host.exec([program, verb], { timeoutMs: 60_000, signal, stdin: input, check: false });
  if (result.exitCode === 0) return result.stdout.toString();
  const said = `${result.stdout.toString()} ${result.stderr.toString()}`.trim();
  if (/credentials not found/i.test(said)) return undefined;
  throw new Failure("exec-failed", `Cannot ask credential helper "${program}": ${said.slice(0, 300)}`);
}

/** What a helper knows a registry by: docker keeps its own under the address of the first version of the API. */
export function helperKey(registry: string): string {
  return normalizeKey(registry) === "docker.io" ? "https://index.docker.io/v1/" : registry;
}

/** Longest first: host/a/b, host/a, host. */
function searchKeys(repository: string): readonly string[] {
  const parts = normalizeKey(repository).split("/");
  return parts.map((_, i) => parts.slice(0, parts.length - i).join("/"));
}

async function searchFile(
  host: ConfigHost & Pick<Host, "exec">,
  { path, shape }: AuthFilePath,
  keys: readonly string[],
  steps: SearchStep[],
  options: SearchOptions,
): Promise<Credentials | undefined> {
  const file = readAuthFile(host, path, shape);
  if (typeof file === "string") {
    steps.push({ source: path, outcome: file });
    return undefined;
  }
  const registry = keys.at(-1) ?? "";
  const own = file.helpers[registry];
  if (own !== undefined) return askHelper(host, { suffix: own, namedIn: path }, keys, steps, options.signal);
  for (const key of keys) {
    const credentials = file.entries.get(key);
    if (credentials === undefined) continue;
    steps.push({ source: path, outcome: "matched", key });
    return credentials;
  }
  steps.push({ source: path, outcome: "no entry" });
  return file.defaultHelper === undefined
    ? undefined
    : askHelper(host, { suffix: file.defaultHelper, namedIn: path }, keys, steps, options.signal);
}

function readAuthFile(
  host: ConfigHost,
  path: string,
  shape: AuthFilePath["shape"],
): AuthFile | "absent" | "unreadable" {
  let text: string | undefined;
  try {
    text = host.files.readTextIfAny(path);
  } catch (error) {
    if (isFailure(error, "denied")) return "unreadable";
    throw error;
  }
  if (text === undefined) return "absent";
  try {
    return parseAuthFile(text, shape);
  } catch (error) {
    throw new Failure("bad-input", `Cannot read credentials "${path}": it is malformed`, { cause: error });
  }
}

async function askHelper(
  host: Pick<Host, "exec">,
  { suffix, namedIn }: { readonly suffix: string; readonly namedIn: string },
  keys: readonly string[],
  steps: SearchStep[],
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  const source = `docker-credential-${suffix}`;
  const registry = keys.at(-1) ?? "";
  const answer = await runHelper(host, suffix, "get", helperKey(registry), signal).catch((error: unknown) => {
    if (!isFailure(error, "missing-tool")) throw error;
    throw new Failure("missing-tool", error.message, { hint: `${namedIn} names it for "${registry}"` });
  });
  if (answer === undefined) {
    steps.push({ source, outcome: "no entry" });
    return undefined;
  }
  steps.push({ source, outcome: "matched", key: registry });
  try {
    const object = parseJsonObject(answer, "helper's answer");
    const username = asString(object["Username"], "helper's answer.Username");
    const secret = asString(object["Secret"], "helper's answer.Secret");
    return username === "<token>"
      ? { kind: "identity-token", token: secret }
      : { kind: "password", username, password: secret };
  } catch (error) {
    throw new Failure("bad-input", `Cannot use credential helper "${source}": its answer is malformed`, {
      cause: error,
    });
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/**
 * logIn(), logOut(): credentials into and out of one place: the credential helper that registries.conf puts first, or the first of
 * the files that count, or the helper that this file names for the registry. A login is tried against the registry before
 * anything is written.
 *
 * @see podman-login(1), podman-logout(1); docker-credential-helpers protocol
 */
import { textToByteName } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { asStringMap, parseJsonObject } from "../core/json.ts";
import { isRepositoryPath } from "../oci/reference.ts";
import { type AuthFile, normalizeKey, parseAuthFile, withEntry, withoutEntries } from "./auth-file.ts";
import type { RemoteContext } from "./context.ts";
import { authFiles, FILES_HELPER, findCredentials, helperKey, runHelper } from "./credentials.ts";
import { type Endpoint, pushEndpoint, readRegistriesConf } from "./registries-conf.ts";
import { openSession } from "./session.ts";

/** A host, or a host with a path below which the credentials count. Failure "usage". */
export function parseRegistryName(text: string): { readonly host: string; readonly key: string } {
  const key = text.replace(/^(?:docker|https?):\/\//, "").replace(/\/+$/, "");
  const host = key.split("/")[0] ?? "";
  if (!/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/.test(host)) {
    throw new Failure("usage", `Cannot use registry ${JSON.stringify(text)}: it is no host[:port]`);
  }
  return { host, key: normalizeKey(key) };
}

/** Failure "unauthorized" when the registry refuses. Returns where the login was kept. */
export async function logIn(
  context: RemoteContext,
  registry: string,
  login: { readonly username: string; readonly password: string },
): Promise<{ readonly keptIn: string }> {
  const { host, key } = parseRegistryName(registry);
  if (key.includes("/") && !isRepositoryPath(key.slice(key.indexOf("/") + 1))) {
    throw new Failure(
      "usage",
      `Cannot log in to ${JSON.stringify(registry)}: wanted HOST or HOST/REPOSITORY, without a tag`,
    );
  }
  const credentials = { kind: "password", ...login } as const;
  await tryLogin(context, host, credentials);
  const place = readPlace(context);
  const helper = helperFor(place, key);
  if (helper !== undefined) {
    const entry = { ServerURL: helperKey(host), Username: login.username, Secret: login.password };
    await runHelper(context.host, helper, "store", JSON.stringify(entry), context.signal);
    return { keptIn: `docker-credential-${helper}` };
  }
  writePlace(context, place, withEntry(place.text, key, credentials));
  return { keptIn: place.path };
}

/** Failure "not-found" when there was no login. Returns where another login for the same registry still is, if anywhere. */
export async function logOut(context: RemoteContext, registry: string): Promise<{ readonly stillIn?: string }> {
  const { host, key } = parseRegistryName(registry);
  const place = readPlace(context);
  const helper = helperFor(place, key);
  const hasEntry = place.file.entries.has(key);
  if (helper === undefined && !hasEntry) {
    throw new Failure("not-found", `Cannot log out of "${key}": there is no login for it in ${place.path}`);
  }
  if (helper !== undefined) await runHelper(context.host, helper, "erase", helperKey(host), context.signal);
  if (hasEntry) writePlace(context, place, withEntry(place.text, key, undefined));
  const { steps } = await searchFor(context, key);
  const left = steps.find(({ outcome }) => outcome === "matched");
  return left === undefined ? {} : { stillIn: left.source };
}

/** Every login of the file, and of the helpers that it or registries.conf names. */
export async function logOutOfAll(context: RemoteContext): Promise<void> {
  const place = readPlace(context);
  const helpers = [place.helper, place.file.defaultHelper, ...Object.values(place.file.helpers)];
  for (const helper of new Set(helpers.filter((name) => name !== undefined))) {
    const answer = (await runHelper(context.host, helper, "list", "", context.signal)) ?? "{}";
    for (const server of Object.keys(readList(answer, helper))) {
      await runHelper(context.host, helper, "erase", server, context.signal);
    }
  }
  if (place.text !== undefined) writePlace(context, place, withoutEntries(place.text));
}

/** The user name that would be used. Failure "not-found" that says where was looked. */
export async function currentLogin(context: RemoteContext, registry: string): Promise<string> {
  const { key } = parseRegistryName(registry);
  const { credentials, steps } = await searchFor(context, key);
  if (credentials?.kind === "password") return credentials.username;
  if (credentials !== undefined) return "<token>";
  throw new Failure(
    "not-found",
    `Cannot find a login for "${key}": looked in ${steps.map(({ source }) => source).join(", ")}`,
  );
}

async function tryLogin(
  context: RemoteContext,
  host: string,
  credentials: { kind: "password"; username: string; password: string },
): Promise<void> {
  const rule = pushEndpoint(readRegistriesConf(context.host), {
    host,
    path: "login",
    tag: undefined,
    digest: undefined,
  });
  const endpoint: Endpoint = { host: rule.host, path: "", insecure: rule.insecure, isMirror: false };
  try {
    const session = await openSession(context, endpoint, { access: "pull", credentials });
    const response = await session.request("GET", "");
    response.discard();
    if (response.status !== 200)
      throw new Failure("network", `Cannot log in to "${host}": it answered ${response.status} to /v2/`);
  } catch (error) {
    if (!isFailure(error, "unauthorized")) throw error;
    throw new Failure("unauthorized", `Cannot log in to "${host}": invalid user name or password`);
  }
}

/** Where a login is written to: `helper`, or the file. */
interface Place {
  readonly path: string;
  readonly text: string | undefined;
  readonly file: AuthFile;
  /** registries.conf puts it before the files. */
  readonly helper: string | undefined;
}

function readPlace(context: RemoteContext): Place {
  const path = authFiles(context.host, context.authFile)[0]?.path ?? textToByteName("/run/containers/auth.json");
  const text = context.host.files.readTextIfAny(path);
  const [first] = readRegistriesConf(context.host).credentialHelpers ?? [];
  try {
    const file = parseAuthFile(text ?? "", "auths");
    return { path, text, file, helper: first === FILES_HELPER ? undefined : first };
  } catch (error) {
    throw new Failure("bad-input", `Cannot change credentials "${path}": it is malformed`, { cause: error });
  }
}

/** A helper knows whole registries only: credentials for a path below one go into the file. */
function helperFor({ file, helper }: Place, key: string): string | undefined {
  return key.includes("/") ? undefined : (file.helpers[key] ?? helper ?? file.defaultHelper);
}

function searchFor(context: RemoteContext, key: string): ReturnType<typeof findCredentials> {
  return findCredentials(context.host, key, {
    authFile: context.authFile,
    helpers: readRegistriesConf(context.host).credentialHelpers,
    signal: context.signal,
  });
}

function readList(answer: string, helper: string): Readonly<Record<string, string>> {
  try {
    return asStringMap(parseJsonObject(answer, "helper's list"), "helper's list");
  } catch (error) {
    throw new Failure(
      "bad-input",
      `Cannot use credential helper "docker-credential-${helper}": its answer is malformed`,
      {
        cause: error,
      },
    );
  }
}

function writePlace(context: RemoteContext, { path }: Place, text: string): void {
  const { files } = context.host;
  const directory = path.slice(0, Math.max(1, path.lastIndexOf("/")));
  if (!files.exists(directory)) files.makeDirectory(directory, { mode: 0o700 });
  files.replace(path, text, { mode: 0o600 });
}

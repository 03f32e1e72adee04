/**
 * logIn(), logOut(): credentials into and out of the first of the files that count, or the credential helper that the file names
 * for this registry. A login is tried against the registry before anything is written.
 */
import { textToByteName } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { parseAuthFile, withEntry } from "./auth-file.ts";
import type { RemoteContext } from "./context.ts";
import { authFiles, runHelper } from "./credentials.ts";
import { type Endpoint, pushEndpoint, readRegistriesConf } from "./registries-conf.ts";
import { openSession } from "./session.ts";

/** A host, or a host with a path below which the credentials count. Failure "usage". */
export function parseRegistryName(text: string): { readonly host: string; readonly key: string } {
  const key = text.replace(/^(?:docker|https?):\/\//, "").replace(/\/+$/, "");
  const host = key.split("/")[0] ?? "";
  if (!/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/.test(host)) {
    throw new Failure("usage", `Cannot use registry ${JSON.stringify(text)}: it is no host[:port]`);
  }
  return { host, key };
}

/** Failure "unauthorized" when the registry refuses. Returns where the login was kept. */
export async function logIn(
  context: RemoteContext,
  registry: string,
  login: { readonly username: string; readonly password: string },
): Promise<{ readonly keptIn: string }> {
  const { host, key } = parseRegistryName(registry);
  const credentials = { kind: "password", ...login } as const;
  await tryLogin(context, host, credentials);
  const { path, text, helper } = readTarget(context, host);
  if (helper !== undefined) {
    const entry = { ServerURL: host, Username: login.username, Secret: login.password };
    await runHelper(context.host, helper, "store", JSON.stringify(entry), context.signal);
    return { keptIn: `docker-credential-${helper}` };
  }
  writeTarget(context, path, withEntry(text, key, credentials));
  return { keptIn: path };
}

/** Failure "not-found" when there was no login. */
export async function logOut(context: RemoteContext, registry: string): Promise<void> {
  const { host, key } = parseRegistryName(registry);
  const { path, text, helper } = readTarget(context, host);
  if (helper !== undefined) {
    await runHelper(context.host, helper, "erase", host, context.signal);
    return;
  }
  if (text === undefined || !parseAuthFile(text, "auths").entries.has(key)) {
    throw new Failure("not-found", `Cannot log out of "${key}": there is no login for it in ${path}`);
  }
  writeTarget(context, path, withEntry(text, key, undefined));
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
  const endpoint: Endpoint = { host, path: "", insecure: rule.insecure, isMirror: false };
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

function readTarget(
  context: RemoteContext,
  host: string,
): { path: string; text: string | undefined; helper: string | undefined } {
  const path = authFiles(context.host, context.authFile)[0]?.path ?? textToByteName("/run/containers/auth.json");
  const text = context.host.files.readTextIfAny(path);
  try {
    return { path, text, helper: text === undefined ? undefined : parseAuthFile(text, "auths").helpers[host] };
  } catch (error) {
    throw new Failure("bad-input", `Cannot change credentials "${path}": it is malformed`, { cause: error });
  }
}

function writeTarget(context: RemoteContext, path: string, text: string): void {
  const { files } = context.host;
  const directory = path.slice(0, Math.max(1, path.lastIndexOf("/")));
  if (!files.exists(directory)) files.makeDirectory(directory, { mode: 0o700 });
  files.replace(path, text, { mode: 0o600 });
}

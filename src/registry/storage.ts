/** openStorage(): the driver that a registry's configuration names. */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import type { Driver } from "./driver.ts";
import { filesDriver } from "./files-driver.ts";
import { keepingOwner } from "./keeping-owner.ts";
import { s3Driver } from "./s3-driver.ts";
import { inDirectory, readRegistryConfig, type RegistryConfig } from "./config.ts";
import type { StorageConfig } from "./config/storage.ts";

export interface Storage extends Disposable {
  readonly driver: Driver;
}

export type StorageHost = Pick<Host, "files" | "clock" | "random" | "network" | "env">;

/** `at` makes the configuration's paths absolute. Failure when the bucket cannot be used, or there are no credentials for it. */
export async function openStorage(
  host: StorageHost,
  config: StorageConfig,
  at: (path: string) => string,
): Promise<Storage> {
  if (config.driver === "files") {
    return { driver: filesDriver(host, at(config.directory)), [Symbol.dispose]: (): void => undefined };
  }
  const { endpoint, region, bucket: name, ca } = config;
  const bucket = await host.network.openBucket({
    endpoint,
    region,
    bucket: name,
    pathStyle: config.pathStyle ?? endpoint !== undefined,
    ...readCredentials(host, config.credentials && at(config.credentials)),
    ca: ca && host.files.readText(at(ca)),
  });
  return { driver: s3Driver(host, bucket, config), [Symbol.dispose]: (): void => bucket.close() };
}

/** The storage of a registry's folder, for work beside its server. */
export async function openRegistryStorage(
  host: StorageHost & Pick<Host, "user">,
  directory: string,
): Promise<Storage & { readonly config: RegistryConfig }> {
  const config = readRegistryConfig(host, directory);
  const { driver, [Symbol.dispose]: close } = await openStorage(
    { ...host, files: keepingOwner(host) },
    config.storage,
    inDirectory(directory),
  );
  return { driver, config, [Symbol.dispose]: close };
}

interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken: string | undefined;
}

function readCredentials(host: StorageHost, path: string | undefined): Credentials {
  const values = path === undefined ? host.env : parseCredentials(host.files.readText(path));
  const [accessKey, secretKey] = [values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]];
  if (accessKey === undefined || secretKey === undefined) {
    const where = path === undefined ? "the environment" : `"${path}"`;
    throw new Failure(
      "unauthorized",
      `Cannot open bucket: ${where} has no aws_access_key_id and aws_secret_access_key`,
      {
        hint: "name a file with storage.credentials, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
      },
    );
  }
  return { accessKey, secretKey, sessionToken: values["AWS_SESSION_TOKEN"] };
}

/** `[default]` of AWS's shared credentials file, with the keys in capitals as the environment has them. */
function parseCredentials(text: string): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  let section = "default";
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    const header = /^\[(.*)\]$/.exec(line);
    section = header?.[1]?.trim() ?? section;
    const pair = /^([a-z_]+)\s*=\s*(.*)$/i.exec(line);
    if (section === "default" && pair?.[1] !== undefined && pair[2] !== undefined) {
      values[pair[1].toUpperCase()] = pair[2];
    }
  }
  return values;
}

/** For tests: a registry over a temporary directory of the real file system, or a bucket in memory, called without a socket. */
import { hash as bcrypt } from "bcryptjs";
import { digestOf, type Digest } from "../core/digest.ts";
import type { Clock, Host, HttpHandler, ServerRequest, ServerResponse } from "../host/host.ts";
import { createFakeBucket } from "../host/fake-bucket.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { CONFIG, LAYER_GZIP, MANIFEST } from "../oci/media-types.ts";
import { openAccess } from "./access/open-access.ts";
import { type Authenticate, openToAll } from "./auth.ts";
import type { Driver } from "./driver.ts";
import { filesDriver } from "./files-driver.ts";
import { createRegistry, type RegistryOptions } from "./handler.ts";
import type { LogEntry } from "./answering.ts";
import { s3Driver } from "./s3-driver.ts";

/** A line of htpasswd with the least cost that bcrypt has. */
export async function quickHtpasswdLine(user: string, password: string): Promise<string> {
  return `${user}:${await bcrypt(password, 4)}\n`;
}

export interface TestRegistry extends Disposable {
  readonly host: Host;
  readonly root: string;
  readonly driver: Driver;
  readonly log: LogEntry[];
  readonly handler: (request: ServerRequest) => Promise<Response>;
  readonly handle: HttpHandler;
  /** `path` begins with /v2/. */
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
  /** POST then PUT; returns the digest. */
  pushBlob(repository: string, bytes: Uint8Array | string): Promise<Digest>;
  /** A small image with one layer; returns what was pushed under `tag`. */
  pushImage(repository: string, tag: string, extra?: object): Promise<{ digest: Digest; bytes: Buffer }>;
  /** A new process over the same directory. */
  restart(): TestRegistry;
}

export interface CallOptions {
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
}

export interface TestRegistryOptions {
  readonly authenticate?: Authenticate;
  /** Default files. */
  readonly storage?: "files" | "s3";
  /** Instead of either. */
  readonly driver?: Driver;
  /** Instead of the real one. */
  readonly clock?: Clock;
  readonly rules?: Pick<RegistryOptions, "quotas" | "immutableTags" | "takesSparse">;
}

export function openTestRegistry(options: TestRegistryOptions = {}): TestRegistry {
  const real = createLinuxHost();
  const host = options.clock === undefined ? real : { ...real, clock: options.clock };
  const directory = host.files.temporaryDirectory(`${SCRATCH}/berth-registry-test-`);
  const root = directory.path;
  const bucket = createFakeBucket({ now: () => host.clock.now() });
  const newDriver = (): Driver =>
    options.driver ??
    (options.storage === "s3"
      ? s3Driver(host, bucket, { prefix: "test/", redirect: false })
      : filesDriver(host, `${root}/data`));
  return registryOver(
    { host, root, newDriver, authenticate: options.authenticate ?? openToAll, rules: options.rules ?? {} },
    () => directory[Symbol.dispose](),
  );
}

/** Everybody is Anna, who may pull. */
export const onlyReads: Authenticate = async () => ({
  kind: "principal",
  principal: {
    user: "anna",
    may: (action) => action === "pull",
    mayList: () => true,
    mayEnter: () => true,
    challenge: () => undefined,
  },
});

/** Basic logins of the users in this file, who may do everything. */
export function htpasswdAuth({ host, path, realm }: { host: Host; path: string; realm: string }): Authenticate {
  const auth = { htpasswd: { file: path, realm }, robots: undefined, tokens: undefined };
  const config = { auth, groups: new Map(), permissions: undefined, tls: undefined, limits: undefined };
  return openAccess(host, config, (file) => file).authenticate;
}

export function blobUpload(location: string | null, digest: string): string {
  return `${location}${location?.includes("?") === true ? "&" : "?"}digest=${digest}`;
}

/** A handler's answer with text(), json() and the like. */
export function toWeb({ status, headers, body }: ServerResponse): Response {
  const content = body === null || body instanceof Uint8Array ? body && Buffer.from(body) : ReadableStream.from(body);
  return new Response(content, { status, headers: [...headers] });
}

interface Setting {
  readonly host: Host;
  readonly root: string;
  readonly newDriver: () => Driver;
  readonly authenticate: Authenticate;
  readonly rules: Pick<RegistryOptions, "quotas" | "immutableTags" | "takesSparse">;
}

function registryOver(setting: Setting, dispose: () => void): TestRegistry {
  const { host, root, authenticate } = setting;
  const log: LogEntry[] = [];
  const driver = setting.newDriver();
  const registry = createRegistry({ ...setting.rules, host, driver, authenticate, log: (entry) => log.push(entry) });
  const handler = async (request: ServerRequest): Promise<Response> =>
    toWeb(await registry(request, { address: "127.0.0.1" }));
  const call = (method: string, path: string, { headers, body }: CallOptions = {}): Promise<Response> =>
    handler(
      new Request(`http://registry.test${path}`, {
        method,
        ...(headers && { headers }),
        ...(body !== undefined && { body: toBody(body), duplex: "half" as const }),
      }),
    );
  const pushBlob = async (repository: string, bytes: Uint8Array | string): Promise<Digest> => {
    const digest = digestOf(bytes);
    const session = await call("POST", `/v2/${repository}/blobs/uploads/`);
    const done = await call("PUT", blobUpload(session.headers.get("location"), digest), { body: bytes });
    if (done.status !== 201) throw new Error(`push of a blob: ${done.status} ${await done.text()}`);
    return digest;
  };
  return {
    host,
    root,
    driver,
    log,
    handler,
    handle: registry,
    call,
    pushBlob,
    async pushImage(repository, tag, extra = {}) {
      const config = "{}";
      const layer = `layer of ${repository}:${tag}`;
      await pushBlob(repository, config);
      await pushBlob(repository, layer);
      const bytes = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: { mediaType: CONFIG, digest: digestOf(config), size: config.length },
          layers: [{ mediaType: LAYER_GZIP, digest: digestOf(layer), size: layer.length }],
          ...extra,
        }),
      );
      const done = await call("PUT", `/v2/${repository}/manifests/${tag}`, {
        body: bytes,
        headers: { "content-type": MANIFEST },
      });
      if (done.status !== 201) throw new Error(`push of a manifest: ${done.status} ${await done.text()}`);
      return { digest: digestOf(bytes), bytes };
    },
    restart: () => registryOver(setting, () => {}),
    [Symbol.dispose]: dispose,
  };
}

function toBody(
  body: Uint8Array | string | AsyncIterable<Uint8Array>,
): Uint8Array | string | ReadableStream<Uint8Array> {
  return typeof body === "string" || body instanceof Uint8Array ? body : ReadableStream.from(body);
}

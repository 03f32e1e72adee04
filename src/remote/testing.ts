/**
 * For tests: a store in memory, and a host whose network is a registry handler in this process, with faults between them.
 * The clock does not wait.
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { type Digest, digestHex, digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import { verified } from "../core/verified.ts";
import type { HttpRequest, HttpResponse } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { parseImageConfig } from "../oci/config.ts";
import { parseManifest } from "../oci/manifest.ts";
import { CONFIG, LAYER_GZIP, MANIFEST } from "../oci/media-types.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";

export const REGISTRY = "registry.test:5000";

/** Answers in place of the registry, or passes the request on. */
export type Fault = (
  request: HttpRequest,
  next: (request: HttpRequest) => Promise<HttpResponse>,
) => Promise<HttpResponse>;

export interface TestClient {
  readonly context: RemoteContext;
  /** Method and path of each request, in order. */
  readonly requests: string[];
  readonly lines: string[];
  /** Milliseconds slept. */
  readonly slept: number[];
  fault: Fault | undefined;
}

export interface TestClientOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly tlsVerify?: boolean;
  readonly authFile?: string;
  readonly freeBytes?: number;
  readonly architecture?: string;
}

/** `handlers` by `host[:port]`; plain HTTP only, as `insecure` allows. */
export function createTestClient(
  handlers: Readonly<Record<string, (request: Request) => Promise<Response>>>,
  options: TestClientOptions = {},
): TestClient {
  const real = createLinuxHost();
  const requests: string[] = [];
  const lines: string[] = [];
  const slept: number[] = [];
  const pass = async (request: HttpRequest): Promise<HttpResponse> => {
    const url = new URL(request.url);
    const handler = handlers[url.host];
    if (handler === undefined) throw new Failure("network", `Cannot reach "${url.origin}": no such host name`);
    if (url.protocol === "https:")
      throw new Failure("network", `Cannot reach "${url.origin}": wrong version number`, {
        cause: new Error("wrong version number"),
      });
    return callHandler(handler, request);
  };
  const host: RemoteContext["host"] = {
    files: {
      ...real.files,
      space: (path) => ({
        ...real.files.space(path),
        ...(options.freeBytes !== undefined && { freeBytes: options.freeBytes }),
      }),
    },
    clock: { now: () => 0, elapsed: () => 0, sleep: async (ms) => void slept.push(ms) },
    network: {
      ...real.network,
      request: async (request) => {
        if (request.url.startsWith("http:")) requests.push(`${request.method} ${new URL(request.url).pathname}`);
        return client.fault === undefined ? pass(request) : client.fault(request, pass);
      },
    },
    env: options.env ?? {},
    user: { uid: 4_000_000_000, gid: 4_000_000_000 },
    exec: (argv, settings) => real.exec(argv, settings),
    which: (program) => real.which(program),
    architecture: options.architecture ?? "amd64",
    random: (sizeBytes) => new Uint8Array(sizeBytes),
  };
  const progress: Progress = {
    task: (label) => ({
      advance() {},
      total() {},
      done: (note) => void lines.push(note === undefined ? label : `${label} ${note}`),
    }),
    say: (text) => void lines.push(text),
    warn: (text) => void lines.push(text),
  };
  const client: TestClient = {
    context: { host, progress, authFile: options.authFile, tlsVerify: options.tlsVerify ?? false },
    requests,
    lines,
    slept,
    fault: undefined,
  };
  return client;
}

async function callHandler(
  handler: (request: Request) => Promise<Response>,
  request: HttpRequest,
): Promise<HttpResponse> {
  const { body } = request;
  const response = await handler(
    new Request(request.url, {
      method: request.method,
      headers: { ...request.headers },
      ...(body !== undefined && {
        body: body instanceof Uint8Array ? Buffer.from(body) : ReadableStream.from(body),
        duplex: "half" as const,
      }),
    }),
  );
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: response.body ?? streamOf(),
    discard() {},
  };
}

/** Answers `response` with its body cut after `bytes`, as when the server dies. */
export function cutAfter(response: HttpResponse, bytes: number): HttpResponse {
  return {
    ...response,
    body: {
      async *[Symbol.asyncIterator]() {
        let left = bytes;
        for await (const chunk of response.body) {
          if (left > 0) yield chunk.subarray(0, left);
          left -= chunk.length;
          if (left <= 0) throw new Failure("network", "Cannot reach: the answer ended early");
        }
      },
    },
  };
}

export interface TestImage {
  readonly manifestBytes: Buffer;
  readonly configBytes: Buffer;
  readonly digest: Digest;
  /** Compressed. */
  readonly layers: readonly Buffer[];
}

export function makeImage(contents: readonly (string | Uint8Array)[], architecture = "amd64"): TestImage {
  const layers = contents.map((content) => gzipSync(content, { level: 1 }));
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture,
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: contents.map((content) => digestOf(content)) },
      history: [],
    }),
  );
  const manifestBytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, digest: digestOf(configBytes), size: configBytes.length },
      layers: layers.map((layer) => ({ mediaType: LAYER_GZIP, digest: digestOf(layer), size: layer.length })),
    }),
  );
  return { manifestBytes, configBytes, digest: digestOf(manifestBytes), layers };
}

export interface MemoryStore extends Store {
  /** Puts an image in as if it had been built. */
  add(image: TestImage, name: string): StoredImage;
}

/** Only what pull and push use; the rest throws. */
export function createMemoryStore(path: string, options: { keepsBlobs?: boolean } = {}): MemoryStore {
  const blobs = new Map<Digest, Buffer>();
  const layers = new Set<Digest>();
  const images = new Map<Digest, StoredImage>();
  const names = new Map<string, Digest>();
  const withNames = (image: StoredImage): StoredImage => ({
    ...image,
    names: [...names]
      .filter(([, digest]) => digest === image.digest)
      .map(([name]) => name)
      .sort(),
  });
  const used: Partial<MemoryStore> = {
    path,
    keepsBlobs: options.keepsBlobs ?? true,
    images: () => [...images.values()].map(withNames),
    image(name) {
      const found = [...images.values()].find(
        ({ digest, manifest }) =>
          digest === (names.get(name) ?? name) || digestHex(manifest.config.digest).startsWith(name),
      );
      return found && withNames(found);
    },
    saveImage({ manifestBytes, configBytes }) {
      const manifest = parseManifest(Buffer.from(manifestBytes).toString());
      const config = parseImageConfig(Buffer.from(configBytes).toString());
      for (const diffId of config.rootfs.diff_ids)
        if (!layers.has(diffId)) throw new Failure("not-found", `no layer ${diffId}`);
      const digest = digestOf(manifestBytes);
      const image = {
        digest,
        manifest,
        manifestBytes: Buffer.from(manifestBytes),
        config,
        configBytes: Buffer.from(configBytes),
        names: [],
      };
      images.set(digest, image);
      return image;
    },
    tag: (name, digest) => void names.set(name, digest),
    untag: (name) => names.delete(name),
    hasLayer: (diffId) => layers.has(diffId),
    hasBlob: (digest) => blobs.has(digest),
    readBlob: (digest, from = 0) => streamOf((blobs.get(digest) ?? Buffer.alloc(0)).subarray(from)),
    async importLayer(source, { descriptor, diffId }) {
      const bytes = await collectBytes(verified(source, descriptor));
      if (digestOf(gunzipSync(bytes)) !== diffId) throw new Failure("digest-mismatch", "Cannot import: diff id");
      layers.add(diffId);
      if (options.keepsBlobs !== false) blobs.set(descriptor.digest, bytes);
    },
    add(image, name) {
      for (const layer of image.layers) {
        blobs.set(digestOf(layer), layer);
        layers.add(digestOf(gunzipSync(layer)));
      }
      const stored = store.saveImage(image);
      store.tag(name, stored.digest);
      return withNames(stored);
    },
    [Symbol.dispose]() {},
  };
  const store = new Proxy(used, {
    get: (target, key) => {
      if (key in target) return Reflect.get(target, key);
      throw new Error(`the memory store has no ${String(key)}`);
    },
  }) as MemoryStore;
  return store;
}

/**
 * createFakeBucket(): an object store in memory, for tests. Strongly consistent, as Bucket demands; each call ends in a later turn
 * of the event loop, so that calls of several replicas interleave. `onCall` may throw in place of any of them.
 */
import { strict as assert } from "node:assert";
import { Failure } from "../core/failure.ts";
import { ASSEMBLE_BYTES_MIN, type Bucket, type ObjectInfo } from "./bucket.ts";

export interface FakeBucketOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Called before each call takes effect, e.g. with "write blobs/…". */
  readonly onCall?: (call: string) => void | Promise<void>;
}

export interface FakeBucket extends Bucket {
  /** Content by key. */
  readonly objects: ReadonlyMap<string, Buffer>;
}

export function createFakeBucket(options: FakeBucketOptions): FakeBucket {
  const objects = new Map<string, Buffer>();
  const times = new Map<string, number>();
  const enter = async (call: string): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    await options.onCall?.(call);
  };
  const put = (key: string, content: Buffer): void => {
    objects.set(key, content);
    times.set(key, options.now());
  };
  const get = (key: string): Buffer => {
    const found = objects.get(key);
    if (found === undefined) throw new Failure("not-found", `Cannot read object "${key}": there is no such object`);
    return found;
  };
  const infos = (prefix: string): ObjectInfo[] =>
    [...objects.entries()]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, content]) => ({ key, size: content.length, modifiedMs: times.get(key) ?? 0 }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  return {
    objects,
    async read(key) {
      await enter(`read ${key}`);
      return objects.get(key);
    },
    async *readStream(key, { start, end }) {
      await enter(`stream ${key}`);
      yield get(key).subarray(start, end);
    },
    async stat(key) {
      await enter(`stat ${key}`);
      return infos(key).find((info) => info.key === key);
    },
    async write(key, content) {
      await enter(`write ${key}`);
      put(key, Buffer.from(content));
    },
    async remove(key) {
      await enter(`remove ${key}`);
      objects.delete(key);
    },
    async *list(prefix) {
      await enter(`list ${prefix}`);
      yield* infos(prefix);
    },
    async listNames(prefix) {
      await enter(`names ${prefix}`);
      return [...new Set(infos(prefix).map(({ key }) => key.slice(prefix.length).split("/")[0] ?? ""))].sort();
    },
    async assemble(key, sources) {
      await enter(`assemble ${key}`);
      for (const { size } of sources.slice(0, -1)) assert.ok(size >= ASSEMBLE_BYTES_MIN, "a part is too small for S3");
      put(key, Buffer.concat(sources.map((source) => get(source.key))));
    },
    dropAssemblies: (prefix) => enter(`drop ${prefix}`),
    presign: (key, lifeSeconds) => `https://bucket.test/${key}?life=${lifeSeconds}`,
    close: () => undefined,
  };
}

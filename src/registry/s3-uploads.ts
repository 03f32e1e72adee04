/**
 * s3Uploads(): upload sessions in a bucket, which any replica can go on with after any other, or itself, was killed.
 *
 *   <id>/session.json   repository, who writes, and the chunks in order
 *   <id>/<random>       a chunk: all but the last hold at least S3's least part
 *
 * A chunk is an object of its own and counts once the session names it; the end assembles the blob from them inside the store.
 * An append announces itself as the session's writer; one that finds another name there gives up. Should two still cross, the
 * session is what one of them wrote, and the digest at the end judges it.
 */
import { createDigester, type Digest, type DigestAlgorithm, type Digester, digestAlgorithm } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { asArray, asCount, asObject, asString, parseJsonObject } from "../core/json.ts";
import { ASSEMBLE_BYTES_MIN, type Bucket } from "../host/bucket.ts";
import type { Host } from "../host/host.ts";
import type { Driver } from "./driver.ts";

interface Chunk {
  /** Below the session's own prefix. */
  readonly name: string;
  readonly size: number;
}

interface Session {
  readonly repository: string;
  readonly writer: string;
  readonly chunks: readonly Chunk[];
}

/** Of all that `writer` left; of use only as long as nobody else wrote. */
interface RunningHash {
  readonly writer: string;
  readonly algorithm: DigestAlgorithm;
  readonly digester: Digester;
}

interface Layout {
  readonly prefix: string;
  readonly blobPrefix: string;
  readonly blobKey: (digest: Digest) => string;
}

/** Larger when there are many, so that the largest blob stays within S3's 10,000 parts: 8 GiB in small ones, 280 GiB in all. */
const CHUNK_BYTES = 8 * 1024 * 1024;
const LARGE_CHUNK_BYTES = 32 * 1024 * 1024;
const SMALL_CHUNKS = 1000;
/** The session is written for every chunk, and rarely enough when it has become long. */
const CHUNKS_PER_SAVE = 64;
const HASHES_MAX = 1000;

type Uploads = Pick<
  Driver,
  | "startUpload"
  | "uploadInfo"
  | "listUploads"
  | "appendUpload"
  | "truncateUpload"
  | "finishUpload"
  | "cancelUpload"
  | "expireUploads"
>;

export function s3Uploads(host: Pick<Host, "random">, bucket: Bucket, layout: Layout): Uploads {
  const { prefix } = layout;
  const hashes = new Map<string, RunningHash>();
  const name = (): string => Buffer.from(host.random(16)).toString("hex");
  const sessionKey = (id: string): string => `${prefix}${id}/session.json`;
  const save = (id: string, session: Session): Promise<void> => bucket.write(sessionKey(id), JSON.stringify(session));
  const find = async (id: string): Promise<Session | undefined> => {
    const text = await bucket.read(sessionKey(id));
    return text && parseSession(text.toString());
  };
  const get = async (id: string): Promise<Session> => {
    const session = await find(id);
    if (session === undefined) throw new Failure("not-found", `Cannot use upload "${id}": there is no such session`);
    return session;
  };
  const requireWriter = async (id: string, writer: string): Promise<void> => {
    if ((await get(id)).writer !== writer) throw busy(id);
  };
  const writeChunk = async (id: string, bytes: Uint8Array): Promise<Chunk> => {
    const chunk = { name: name(), size: bytes.length };
    await bucket.write(`${prefix}${id}/${chunk.name}`, bytes);
    return chunk;
  };
  const remove = async (id: string): Promise<void> => {
    hashes.delete(id);
    await bucket.remove(sessionKey(id));
    for await (const { key } of bucket.list(`${prefix}${id}/`)) await bucket.remove(key);
  };
  const remember = (id: string, hash: RunningHash): void => {
    hashes.delete(id);
    hashes.set(id, hash);
    for (const oldest of hashes.keys()) {
      if (hashes.size <= HASHES_MAX) break;
      hashes.delete(oldest);
    }
  };

  /** Appends `source` for `session`, which is saved already under this writer. */
  const receive = async (
    id: string,
    session: Session,
    source: AsyncIterable<Uint8Array>,
    digester: Digester | undefined,
  ): Promise<Session> => {
    const last = session.chunks.at(-1);
    const isShort = last !== undefined && last.size < ASSEMBLE_BYTES_MIN;
    const chunks = isShort ? session.chunks.slice(0, -1) : [...session.chunks];
    const pending: Uint8Array[] = [];
    let held = 0;
    let unsaved = 0;
    if (isShort) {
      pending.push((await bucket.read(`${prefix}${id}/${last.name}`)) ?? new Uint8Array(0));
      held = last.size;
    }
    const flush = async (bytes: Uint8Array, isLast: boolean): Promise<void> => {
      if (bytes.length > 0) chunks.push(await writeChunk(id, bytes));
      unsaved += 1;
      if (!isLast && unsaved * CHUNKS_PER_SAVE < chunks.length) return;
      await requireWriter(id, session.writer);
      await save(id, { ...session, chunks });
      unsaved = 0;
    };
    // One chunk is on its way to the store while the next is received.
    let running = Promise.resolve();
    const hand = async (isLast: boolean): Promise<void> => {
      await running;
      running = flush(Buffer.concat(pending.splice(0)), isLast);
      running.catch(() => undefined);
      held = 0;
      if (isLast) await running;
    };
    try {
      for await (const bytes of source) {
        digester?.update(bytes);
        pending.push(bytes);
        held += bytes.length;
        if (held >= (chunks.length < SMALL_CHUNKS ? CHUNK_BYTES : LARGE_CHUNK_BYTES)) await hand(false);
      }
    } finally {
      await hand(true);
    }
    return { ...session, chunks };
  };

  const matches = async (id: string, session: Session, digest: Digest): Promise<boolean> => {
    const known = hashes.get(id);
    if (known?.writer === session.writer && known.algorithm === digestAlgorithm(digest)) {
      hashes.delete(id);
      return known.digester.digest() === digest;
    }
    const again = createDigester(digestAlgorithm(digest));
    for (const chunk of session.chunks) {
      const range = { start: 0, end: chunk.size };
      for await (const bytes of bucket.readStream(`${prefix}${id}/${chunk.name}`, range)) again.update(bytes);
    }
    return again.digest() === digest;
  };

  return {
    async startUpload(repository, algorithm) {
      const id = name();
      const writer = name();
      await save(id, { repository, writer, chunks: [] });
      remember(id, { writer, algorithm, digester: createDigester(algorithm) });
      return id;
    },
    async uploadInfo(id) {
      const session = await find(id);
      return session && { repository: session.repository, size: sizeOf(session) };
    },
    async *listUploads() {
      for (const id of await bucket.listNames(prefix)) {
        const session = await find(id);
        if (session !== undefined) yield { id, repository: session.repository, size: sizeOf(session) };
      }
    },
    async appendUpload(id, offset, source) {
      const before = await get(id);
      if (sizeOf(before) !== offset) throw busy(id);
      const known = hashes.get(id);
      const hash = known?.writer === before.writer ? known : undefined;
      hashes.delete(id);
      const session = { ...before, writer: name() };
      await save(id, session);
      const after = await receive(id, session, source, hash?.digester);
      if (hash !== undefined) remember(id, { ...hash, writer: session.writer });
      return sizeOf(after);
    },
    async truncateUpload(id, size) {
      hashes.delete(id);
      const session = await get(id);
      const chunks: Chunk[] = [];
      let kept = 0;
      for (const chunk of session.chunks) {
        const wanted = Math.min(chunk.size, size - kept);
        if (wanted <= 0) break;
        if (wanted === chunk.size) chunks.push(chunk);
        else {
          const whole = await bucket.read(`${prefix}${id}/${chunk.name}`);
          if (whole !== undefined) chunks.push(await writeChunk(id, whole.subarray(0, wanted)));
        }
        kept += wanted;
      }
      await save(id, { ...session, writer: name(), chunks });
    },
    async finishUpload(id, digest) {
      const session = await get(id);
      if (!(await matches(id, session, digest))) {
        await remove(id);
        return "mismatch";
      }
      await requireWriter(id, session.writer);
      const found = await bucket.stat(layout.blobKey(digest));
      if (found?.size !== sizeOf(session)) {
        const sources = session.chunks.map(({ name: chunk, size }) => ({
          key: `${prefix}${id}/${chunk}`,
          size,
          modifiedMs: 0,
        }));
        await bucket.assemble(layout.blobKey(digest), sources);
      }
      await remove(id);
      return "stored";
    },
    async cancelUpload(id) {
      if ((await find(id)) === undefined) return false;
      await remove(id);
      return true;
    },
    async expireUploads(before) {
      const newest = new Map<string, number>();
      for await (const { key, modifiedMs } of bucket.list(prefix)) {
        const id = key.slice(prefix.length).split("/")[0] ?? "";
        newest.set(id, Math.max(newest.get(id) ?? 0, modifiedMs));
      }
      const old = [...newest].filter(([, modifiedMs]) => modifiedMs < before).map(([id]) => id);
      for (const id of old) await remove(id);
      await bucket.dropAssemblies(layout.blobPrefix, before);
      return old.length;
    },
  };
}

function sizeOf(session: Session): number {
  return session.chunks.reduce((sum, { size }) => sum + size, 0);
}

function busy(id: string): Failure {
  return new Failure("busy", `Cannot append to upload "${id}": another request goes on with it`);
}

function parseSession(text: string): Session {
  const object = parseJsonObject(text, "upload session");
  return {
    repository: asString(object["repository"], "upload session.repository"),
    writer: asString(object["writer"], "upload session.writer"),
    chunks: asArray(object["chunks"], "upload session.chunks").map((entry, index) => {
      const chunk = asObject(entry, `upload session.chunks[${index}]`);
      return { name: asString(chunk["name"], "upload chunk.name"), size: asCount(chunk["size"], "upload chunk.size") };
    }),
  };
}

/**
 * filesDriver(): a registry in a directory.
 *
 *   records/<key>                     small files, replaced atomically
 *   blobs/<algorithm>/<2 hex>/<hex>   content, shared by all repositories
 *   uploads/<id>/{session.json,data}  sessions; a restart finds them again
 *   quarantine/<algorithm>-<hex>      content that was not what its name says
 *
 * Crash-safe: what has a final name is complete and on disk. Content goes temporary file → fsync → rename → fsync of the
 * directory, and a directory is synced into its parent before anything is put in it. Calls are synchronous within, so steps
 * between two awaits are atomic for other requests. One process serves uploads; others may use all the rest beside it.
 */
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { gather, type GroupSize } from "../core/gather.ts";
import type { FileDigester, FileStat, Host } from "../host/host.ts";
import { type WriteBehind, writeBehind } from "../host/write-behind.ts";
import { asObject, asString, parseJsonObject } from "../core/json.ts";
import { type Driver, parseBlobPath } from "./driver.ts";
import { createRecordCache } from "./record-cache.ts";

/** What the process knows of a session; the size on disk is the truth. */
interface Session {
  readonly repository: string;
  size: number;
  /** Of the data, by `algorithm`. */
  digester: FileDigester;
  readonly algorithm: DigestAlgorithm;
  /** The append that may write; an older one stops. */
  writer: number;
  /** Its digest is being checked or it becomes a blob: nothing may be written any more. */
  sealed: boolean;
  readonly behind: WriteBehind;
}

/** What comes fast is written so much at a time. */
const FULL_WRITE: GroupSize = { bytes: 256 * 1024, pieces: 64 };

/** Reads up to this many bytes come as one chunk. */
const SMALL_READ_BYTES = 1024 * 1024;

export function filesDriver(host: Pick<Host, "files" | "clock" | "random">, root: string): Driver {
  const { files } = host;
  const directories = durableDirectories(host);
  const records = createRecordCache(host);
  const sessions = sessionTable(host, `${root}/uploads`);
  const recordPath = (key: string): string => `${root}/records/${key}`;
  const blobPath = (digest: Digest): string => {
    const hex = digestHex(digest);
    return `${root}/blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`;
  };
  return {
    async getRecord(key) {
      return records.read(recordPath(key));
    },
    async putRecord(key, value, { durable } = { durable: true }) {
      const path = recordPath(key);
      directories.make(parentOf(path));
      records.forget(path);
      if (durable) files.replace(path, value);
      else files.write(path, value);
    },
    async hasRecord(key) {
      return files.stat(recordPath(key))?.kind === "file";
    },
    async recordTime(key) {
      const stat = files.stat(recordPath(key));
      return stat?.kind === "file" ? modifiedMs(stat) : undefined;
    },
    async deleteRecord(key, { durable } = { durable: true }) {
      const path = recordPath(key);
      records.forget(path);
      return removeFile(host, path, { durable });
    },
    async listRecords(prefix) {
      return files.listIfAny(recordPath(prefix)).filter((name) => !name.startsWith("."));
    },
    async blobSize(digest) {
      return files.stat(blobPath(digest))?.size;
    },
    readBlob(digest, range) {
      const path = blobPath(digest);
      if (range.end - range.start > SMALL_READ_BYTES) return files.readStream(path, range);
      return readOnce(host, path, range.start, range.end - range.start);
    },
    async putBlob(digest, bytes) {
      const path = blobPath(digest);
      if (files.stat(path)?.size === bytes.length) return;
      directories.make(parentOf(path));
      files.replace(path, bytes);
    },
    async deleteBlob(digest) {
      return removeFile(host, blobPath(digest), { durable: true });
    },
    async *listBlobs() {
      for (const algorithm of files.listIfAny(`${root}/blobs`)) {
        for (const start of files.listIfAny(`${root}/blobs/${algorithm}`)) {
          for (const hex of files.listIfAny(`${root}/blobs/${algorithm}/${start}`)) {
            const digest = parseBlobPath(`${algorithm}/${start}/${hex}`);
            const stat = digest && files.stat(blobPath(digest));
            if (digest !== undefined && stat !== undefined)
              yield { digest, size: stat.size, modifiedMs: modifiedMs(stat) };
          }
        }
      }
    },
    async quarantineBlob(digest) {
      if (!files.exists(blobPath(digest))) return;
      directories.make(`${root}/quarantine`);
      files.rename(blobPath(digest), `${root}/quarantine/${digest.replace(":", "-")}`);
      files.sync(`${root}/quarantine`);
      files.sync(parentOf(blobPath(digest)));
    },
    startUpload: async (repository, algorithm) => sessions.start(repository, algorithm),
    async uploadInfo(id) {
      const session = sessions.find(id);
      return session && { repository: session.repository, size: session.size };
    },
    async *listUploads() {
      for (const id of files.listIfAny(`${root}/uploads`)) {
        const session = sessions.find(id);
        if (session !== undefined) yield { id, repository: session.repository, size: session.size };
      }
    },
    appendUpload: (id, offset, source) => sessions.append(id, offset, source),
    truncateUpload: async (id, size) => sessions.truncate(id, size),
    async finishUpload(id, digest) {
      using seal = sessions.seal(id);
      if ((await seal.digest(digestAlgorithm(digest))) !== digest) {
        sessions.remove(id);
        return "mismatch";
      }
      const path = blobPath(digest);
      await seal.sync();
      directories.make(parentOf(path));
      files.rename(sessions.dataPath(id), path);
      files.sync(parentOf(path));
      sessions.remove(id);
      return "stored";
    },
    cancelUpload: async (id) => sessions.remove(id),
    async expireUploads(before) {
      const old = files.listIfAny(`${root}/uploads`).filter((id) => {
        const stat = files.stat(sessions.dataPath(id)) ?? files.stat(`${root}/uploads/${id}`);
        return stat !== undefined && stat.mtimeSec * 1000 < before;
      });
      for (const id of old) sessions.remove(id);
      return old.length;
    },
  };
}

interface SessionTable {
  dataPath(id: string): string;
  start(repository: string, algorithm: DigestAlgorithm): string;
  find(id: string): Session | undefined;
  append(id: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number>;
  truncate(id: string, size: number): void;
  /** Nothing is appended until it is disposed. Failure "busy" when it is sealed already. */
  seal(id: string): Seal;
  remove(id: string): boolean;
}

interface Seal extends Disposable {
  /** Of all bytes. */
  digest(algorithm: DigestAlgorithm): Promise<Digest>;
  /** Of all bytes to disk. */
  sync(): Promise<void>;
}

function sessionTable(host: Pick<Host, "files" | "random">, root: string): SessionTable {
  const { files } = host;
  const known = new Map<string, Session>();
  const dataPath = (id: string): string => `${root}/${id}/data`;
  const find = (id: string): Session | undefined => {
    // Another process (a collection) may have dropped it.
    if (!files.exists(dataPath(id))) forget(id);
    const session = known.get(id) ?? restoreSession(host, `${root}/${id}`);
    if (session !== undefined) known.set(id, session);
    return session;
  };
  const forget = (id: string): void => {
    known.get(id)?.digester[Symbol.dispose]();
    known.delete(id);
  };
  const get = (id: string): Session => {
    const session = find(id);
    if (session === undefined) throw new Failure("not-found", `Cannot use upload "${id}": there is no such session`);
    return session;
  };
  return {
    dataPath,
    find,
    start(repository, algorithm) {
      const id = Buffer.from(host.random(16)).toString("hex");
      files.makeDirectory(`${root}/${id}`);
      files.write(dataPath(id), "");
      files.write(`${root}/${id}/session.json`, JSON.stringify({ repository }));
      known.set(id, newSession(host, dataPath(id), { repository, size: 0, algorithm }));
      return id;
    },
    async append(id, offset, source) {
      const session = get(id);
      if (session.size !== offset || session.sealed) throw busy(id);
      session.writer += 1;
      const writer = session.writer;
      using file = files.open(dataPath(id), "read-write");
      for await (const pieces of gather(source, FULL_WRITE)) {
        if (session.writer !== writer || known.get(id) !== session) throw busy(id);
        try {
          file.writeAll(pieces, session.size);
        } catch (error) {
          // A disk that is full may have taken a part: the file never holds more than what was counted and hashed.
          files.truncate(dataPath(id), session.size);
          throw error;
        }
        for (const { length } of pieces) session.size += length;
        session.digester.grown(session.size);
        session.behind.grown(session.size);
      }
      return session.size;
    },
    truncate(id, size) {
      const session = get(id);
      if (session.sealed) throw busy(id);
      files.truncate(dataPath(id), size);
      session.digester[Symbol.dispose]();
      const digester = files.openDigester(dataPath(id), session.algorithm);
      Object.assign(session, { size, digester, writer: session.writer + 1 });
    },
    seal(id) {
      const session = get(id);
      if (session.sealed) throw busy(id);
      session.sealed = true;
      session.writer += 1;
      return {
        async digest(algorithm) {
          if (algorithm === session.algorithm) return session.digester.digest(session.size);
          using other = files.openDigester(dataPath(id), algorithm);
          return await other.digest(session.size);
        },
        sync: () => session.behind.finish(),
        [Symbol.dispose]() {
          session.sealed = false;
        },
      };
    },
    remove(id) {
      forget(id);
      const found = files.exists(`${root}/${id}`);
      files.remove(`${root}/${id}`);
      return found;
    },
  };
}

/** A session of an earlier process; undefined when there is none, or it was not written to its end. */
function restoreSession(host: Pick<Host, "files">, path: string): Session | undefined {
  const text = host.files.readTextIfAny(`${path}/session.json`);
  const size = host.files.stat(`${path}/data`)?.size;
  if (text?.endsWith("}") !== true || size === undefined) return undefined;
  const object = asObject(parseJsonObject(text, "upload session"), "upload session");
  const repository = asString(object["repository"], "upload session.repository");
  return newSession(host, `${path}/data`, { repository, size, algorithm: "sha256" });
}

function newSession(
  host: Pick<Host, "files">,
  dataPath: string,
  about: Pick<Session, "repository" | "size" | "algorithm">,
): Session {
  const digester = host.files.openDigester(dataPath, about.algorithm);
  return { ...about, digester, behind: writeBehind(host, dataPath, about.size), writer: 0, sealed: false };
}

function busy(id: string): Failure {
  return new Failure("busy", `Cannot append to upload "${id}": another request goes on with it`);
}

/** Makes directories and syncs each into its parent, once. */
function durableDirectories(host: Pick<Host, "files">): { make(path: string): void } {
  const known = new Set<string>();
  const make = (path: string): void => {
    if (known.has(path)) return;
    if (!host.files.exists(path)) {
      make(parentOf(path));
      host.files.makeDirectory(path);
      host.files.sync(parentOf(path));
    }
    known.add(path);
  };
  return { make };
}

function removeFile(host: Pick<Host, "files">, path: string, { durable }: { durable: boolean }): boolean {
  if (host.files.stat(path)?.kind !== "file") return false;
  host.files.remove(path);
  if (durable) host.files.sync(parentOf(path));
  return true;
}

async function* readOnce(
  host: Pick<Host, "files">,
  path: string,
  start: number,
  length: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (length === 0) return;
  using file = host.files.open(path, "read");
  const bytes = Buffer.allocUnsafe(length);
  const count = file.read(bytes, start);
  if (count !== length) throw new Failure("corrupt", `Cannot read blob "${path}": it is shorter than it was`);
  yield bytes;
}

function modifiedMs(stat: FileStat): number {
  return stat.mtimeSec * 1000 + stat.mtimeNsec / 1e6;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

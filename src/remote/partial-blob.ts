/**
 * PartialBlob: what has arrived of a blob, kept on disk until it is imported, so that a download goes on where it stopped, also
 * after a crash. `<store>/partial/<algorithm>-<hex>`; one process at a time has it, by a lock on the file itself. The bytes are
 * not trusted: the import that reads them checks their digest.
 */
import { type Digest, digestAlgorithm } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { gather, type GroupSize } from "../core/gather.ts";
import { type Expected, requireDigest, requireNotLonger, requireWhole } from "../core/verified.ts";
import type { Host, Lock } from "../host/host.ts";
import { writeBehind } from "../host/write-behind.ts";

export interface PartialBlob extends Disposable {
  readonly path: string;
  /** Bytes here. */
  readonly size: number;
  append(...pieces: readonly Uint8Array[]): void;
  /** What was here when it was opened and since. */
  read(): AsyncIterable<Uint8Array>;
  /** Throws away what is here. */
  reset(): void;
  /** Removes the file: the blob is imported, or its bytes are wrong. */
  remove(): void;
  /** Under its final name, after receive(). */
  moveTo(path: string): void;
}

/** Downloads that nobody went on with for this long are dropped. */
const ABANDONED_MS = 7 * 24 * 3600 * 1000;
const POLL_MS = 500;

/** Waits while another process downloads the same blob. */
export async function openPartialBlob(
  host: Pick<Host, "files" | "clock">,
  storePath: string,
  digest: Digest,
  signal?: AbortSignal,
): Promise<PartialBlob> {
  const directory = `${storePath}/partial`;
  host.files.makeDirectory(directory, { mode: 0o700 });
  const path = partialPath(storePath, digest);
  const lock = await takeLock(host, path, signal);
  const file = host.files.open(path, "read-write");
  let size = file.sizeBytes();
  return {
    path,
    get size() {
      return size;
    },
    append(...pieces) {
      file.writeAll(pieces, size);
      for (const { length } of pieces) size += length;
    },
    read: () => host.files.readStream(path, { start: 0, end: size }),
    reset() {
      host.files.truncate(path, 0);
      size = 0;
    },
    remove() {
      host.files.remove(path);
    },
    moveTo(target) {
      host.files.rename(path, target);
    },
    [Symbol.dispose]() {
      file.close();
      lock.release();
    },
  };
}

/** Bytes that an earlier attempt left. */
export function keptBytes(host: Pick<Host, "files">, storePath: string, digest: Digest): number {
  return host.files.lstat(partialPath(storePath, digest))?.size ?? 0;
}

function partialPath(storePath: string, digest: Digest): string {
  return `${storePath}/partial/${digest.replace(":", "-")}`;
}

/** The blob's bytes: first what is here, then what `open` gives from that position on, which is kept as it comes. */
export async function* readThrough(
  partial: PartialBlob,
  sizeBytes: number,
  open: (from: number) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (partial.size > sizeBytes) partial.reset();
  if (partial.size > 0) yield* partial.read();
  if (partial.size === sizeBytes) return;
  for await (const chunk of open(partial.size)) {
    partial.append(chunk);
    yield chunk;
  }
}

/** What comes fast is written so much at a time. */
const FULL_WRITE: GroupSize = { bytes: 256 * 1024, pieces: 64 };

export interface ReceiveOptions {
  readonly open: (from: number) => AsyncIterable<Uint8Array>;
  /** Of what is here and of what comes. */
  readonly onBytes: (count: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What is here and what `open` gives from that position on becomes the whole blob: on disk, and checked. It is hashed and synced beside
 * its coming. Failure "digest-mismatch".
 */
export async function receive(
  host: Pick<Host, "files">,
  partial: PartialBlob,
  expected: Expected,
  options: ReceiveOptions,
): Promise<void> {
  const { open, onBytes, signal } = options;
  using digester = host.files.openDigester(partial.path, digestAlgorithm(expected.digest));
  if (partial.size > expected.size) partial.reset();
  const behind = writeBehind(host, partial.path, partial.size);
  onBytes(partial.size);
  digester.grown(partial.size);
  if (partial.size < expected.size) {
    for await (const pieces of gather(open(partial.size), FULL_WRITE)) {
      signal?.throwIfAborted();
      const before = partial.size;
      requireNotLonger(
        expected,
        pieces.reduce((sum, { length }) => sum + length, before),
      );
      partial.append(...pieces);
      digester.grown(partial.size);
      behind.grown(partial.size);
      onBytes(partial.size - before);
    }
  }
  requireWhole(expected, partial.size);
  const [actual] = await Promise.all([digester.digest(partial.size), behind.finish()]);
  requireDigest(expected, actual);
}

/** Removes what earlier pulls left behind and nobody came back for. */
export function sweepPartialBlobs(host: Pick<Host, "files" | "clock">, storePath: string): void {
  const directory = `${storePath}/partial`;
  for (const name of host.files.listIfAny(directory)) {
    const stat = host.files.lstat(`${directory}/${name}`);
    if (stat !== undefined && stat.mtimeSec * 1000 < host.clock.now() - ABANDONED_MS)
      host.files.remove(`${directory}/${name}`);
  }
}

async function takeLock(host: Pick<Host, "files" | "clock">, path: string, signal?: AbortSignal): Promise<Lock> {
  for (;;) {
    try {
      const lock = host.files.lock(path, "exclusive", { wait: false });
      // The holder before us may have removed the file that we now have locked.
      if (host.files.exists(path)) return lock;
      lock.release();
    } catch (error) {
      if (!isFailure(error, "busy")) throw error;
      await host.clock.sleep(POLL_MS, signal);
    }
  }
}

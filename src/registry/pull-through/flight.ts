/**
 * Flight: one blob on its way from the upstream into the storage, and to every client that waits for it.
 *
 * Storage sets the pace. A client gets what has just come in, from a window in memory; one that is too slow or came too late
 * for the window goes on from the storage once the blob is whole. The last bytes always come from there, so that no client
 * ever has the whole of a blob that does not hash to its digest.
 */
import { type Digest, digestAlgorithm } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Driver } from "../driver.ts";
import type { Repository } from "../repository.ts";
import type { Leases } from "../upkeep/leases.ts";

export interface Flight {
  /** Bytes. */
  readonly size: number;
  /** Resolves when the blob is stored and linked; rejects when that failed. */
  readonly landed: Promise<void>;
  /** The blob from its first byte. Throws what `landed` rejects with. */
  follow(): AsyncGenerator<Uint8Array, void, undefined>;
}

const WINDOW_BYTES = 8 * 1024 * 1024;

export interface FlightOptions {
  readonly driver: Driver;
  readonly leases: Leases;
  readonly repository: Repository;
  readonly digest: Digest;
  readonly size: number;
  readonly source: AsyncIterable<Uint8Array>;
}

export function startFlight(options: FlightOptions): Flight {
  const { driver, digest, size, source } = options;
  const window: Uint8Array[] = [];
  let start = 0;
  let end = 0;
  let isLanded = false;
  let news = Promise.withResolvers<void>();

  const tee = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      if (end + chunk.length > size) throw mismatch(digest);
      window.push(chunk);
      end += chunk.length;
      while (end - start > WINDOW_BYTES) start += window.shift()?.length ?? 0;
      news.resolve();
      news = Promise.withResolvers();
      yield chunk;
    }
  };
  const landed = store(options, tee()).then(() => {
    isLanded = true;
  });
  // Clients may all be gone when it fails: then nobody else hears of it.
  landed.catch(() => undefined);

  return {
    size,
    landed,
    async *follow() {
      let at = 0;
      while (!isLanded && at >= start) {
        const chunk = chunkAt(window, at - start);
        if (chunk !== undefined && at + chunk.length < size) {
          yield chunk;
          at += chunk.length;
        } else {
          await Promise.race([news.promise, landed]);
        }
      }
      await landed;
      yield* driver.readBlob(digest, { start: at, end: size });
    },
  };
}

async function store(
  { driver, leases, repository, digest }: FlightOptions,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  const id = await driver.startUpload(repository.name, digestAlgorithm(digest));
  try {
    await driver.appendUpload(id, 0, source);
  } catch (error) {
    await driver.cancelUpload(id);
    throw error;
  }
  await leases.take(digest);
  if ((await driver.finishUpload(id, digest)) === "mismatch") throw mismatch(digest);
  await repository.linkBlob(digest);
}

/** The chunk that begins at `offset` of the window; undefined when it has not come yet. */
function chunkAt(window: readonly Uint8Array[], offset: number): Uint8Array | undefined {
  let at = 0;
  for (const chunk of window) {
    if (at === offset) return chunk;
    at += chunk.length;
  }
  return undefined;
}

function mismatch(digest: Digest): Failure {
  return new Failure("digest-mismatch", `Cannot accept content ${digest}: the upstream's bytes are others`);
}

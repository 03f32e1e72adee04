/**
 * fetchRange() and fetchRanges(): parts of a blob. One range a request, because many registries answer several with the whole blob;
 * a few requests at a time over kept connections. A registry that ignores a range is a Failure "unsupported": the caller then takes
 * the whole blob, which has begun to arrive.
 *
 * @see RFC 9110 section 14
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { refusal } from "./answer.ts";
import type { RemoteContext } from "./context.ts";
import type { PartialBlob } from "./partial-blob.ts";
import type { ByteRange } from "./plan-ranges.ts";
import { statusFailure, waitToRetry } from "./retry.ts";
import type { Session } from "./session.ts";
import type { TransportResponse } from "./transport.ts";

export interface RangeSource {
  readonly context: RemoteContext;
  readonly session: Session;
  readonly descriptor: Descriptor;
  /** Called with each count of bytes that came over the network. */
  readonly onReceived?: ((count: number) => void) | undefined;
  /** Takes an answer that has the whole blob instead of the range; without this it is thrown away. */
  readonly onWhole?: ((response: TransportResponse) => void) | undefined;
}

/** Ranges that are fetched at the same time. */
const PARALLEL_RANGES = 4;
/** Attempts without a new byte before it gives up. */
const FRUITLESS_MAX = 5;

/** Failure "unsupported", "not-found", "network". */
export async function fetchRange(source: RangeSource, range: ByteRange): Promise<Buffer> {
  const { context, onReceived } = source;
  const bytes = Buffer.allocUnsafeSlow(range.end - range.start);
  let filled = 0;
  let fruitless = 0;
  while (filled < bytes.length) {
    const before = filled;
    try {
      for await (const chunk of request(source, { start: range.start + filled, end: range.end })) {
        if (chunk.length > bytes.length - filled) throw ignored(source);
        bytes.set(chunk, filled);
        filled += chunk.length;
        onReceived?.(chunk.length);
      }
      if (filled < bytes.length)
        throw new Failure("network", `Cannot fetch a part of ${source.descriptor.digest}: it ended too early`);
    } catch (error) {
      if (!isFailure(error, "network")) throw error;
      fruitless = filled > before ? 0 : fruitless + 1;
      if (fruitless >= FRUITLESS_MAX) throw error;
      await waitToRetry(context, fruitless, error);
    }
  }
  return bytes;
}

/** The bytes of all ranges, joined. `partial` keeps them: what an earlier attempt at the same ranges left comes from there. */
export async function* fetchRanges(
  source: RangeSource,
  ranges: readonly ByteRange[],
  partial: PartialBlob,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (partial.size > 0) yield* partial.read();
  const rest = dropBytes(ranges, partial.size);
  const pending: Promise<Buffer>[] = [];
  let next = 0;
  const fill = (): void => {
    for (; pending.length < PARALLEL_RANGES; next += 1) {
      const range = rest[next];
      if (range === undefined) return;
      const fetching = fetchRange(source, range);
      // Told when its turn comes.
      fetching.catch(() => {});
      pending.push(fetching);
    }
  };
  try {
    for (fill(); ; fill()) {
      const bytes = await pending[0];
      if (bytes === undefined) return;
      void pending.shift();
      partial.append(bytes);
      yield bytes;
    }
  } finally {
    await Promise.allSettled(pending);
  }
}

/** The ranges without their first `count` bytes. */
function dropBytes(ranges: readonly ByteRange[], count: number): ByteRange[] {
  let left = count;
  return ranges.flatMap(({ start, end }) => {
    const dropped = Math.min(left, end - start);
    left -= dropped;
    return dropped === end - start ? [] : [{ start: start + dropped, end }];
  });
}

async function* request(source: RangeSource, range: ByteRange): AsyncGenerator<Uint8Array, void, undefined> {
  const { context, session, descriptor } = source;
  const response = await session.request("GET", `blobs/${descriptor.digest}`, {
    headers: { range: `bytes=${range.start}-${range.end - 1}` },
    retries: 0,
  });
  if (response.status !== 206 || !isStart(response.headers["content-range"], range.start)) {
    const { status } = response;
    if (status === 200 || status === 206 || status === 416) {
      if (status === 200 && source.onWhole !== undefined) source.onWhole(response);
      else response.discard();
      throw ignored(source);
    }
    const cannot = `Cannot fetch a part of ${descriptor.digest} from "${session.name}"`;
    if (status === 404) throw new Failure("not-found", `${cannot}: ${await refusal(response)}`);
    throw await statusFailure(context, response, cannot);
  }
  let isEnded = false;
  try {
    yield* response.body;
    isEnded = true;
  } finally {
    if (!isEnded) response.discard();
  }
}

function isStart(contentRange: string | undefined, start: number): boolean {
  return Number(/^bytes (\d+)-/.exec(contentRange ?? "")?.[1] ?? -1) === start;
}

function ignored({ session, descriptor }: RangeSource): Failure {
  return new Failure(
    "unsupported",
    `Cannot fetch a part of ${descriptor.digest}: "${session.name}" does not answer with the range that was asked for`,
  );
}

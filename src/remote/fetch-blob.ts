/**
 * fetchBlob(): a blob's bytes, first what an earlier attempt left, then the rest by one range request; a connection that breaks is
 * taken up again at the same byte. A registry that ignores the range and sends the whole blob costs bytes, not correctness.
 *
 * @see RFC 9110 section 14
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Descriptor } from "../oci/manifest.ts";
import type { RemoteContext } from "./context.ts";
import type { PartialBlob } from "./partial-blob.ts";
import { refusal } from "./answer.ts";
import type { Session } from "./session.ts";
import { backoffMs, isTransient, type TransportResponse } from "./transport.ts";

/** Attempts without a new byte before it gives up. */
const FRUITLESS_MAX = 5;

export interface FetchOptions {
  /** Called with bytes that came over the network. */
  readonly onReceived?: (count: number) => void;
}

/** Never yields more than `descriptor.size` bytes. Failure "not-found", "network", "digest-mismatch" for a blob that is longer. */
export async function* fetchBlob(
  context: RemoteContext,
  session: Session,
  descriptor: Descriptor,
  partial: PartialBlob,
  options: FetchOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (partial.size > descriptor.size) partial.reset();
  if (partial.size > 0) yield* partial.read();
  let fruitless = 0;
  while (partial.size < descriptor.size) {
    const before = partial.size;
    try {
      for await (const chunk of requestRest(session, descriptor, before)) {
        if (partial.size + chunk.length > descriptor.size) throw tooLong(descriptor);
        partial.append(chunk);
        options.onReceived?.(chunk.length);
        yield chunk;
      }
      if (partial.size < descriptor.size) {
        throw new Failure(
          "network",
          `Cannot fetch ${descriptor.digest}: it ended after ${partial.size} of ${descriptor.size} bytes`,
        );
      }
    } catch (error) {
      if (!isFailure(error, "network")) throw error;
      fruitless = partial.size > before ? 0 : fruitless + 1;
      if (fruitless >= FRUITLESS_MAX) throw error;
      await context.host.clock.sleep(backoffMs(fruitless), context.signal);
    }
  }
}

/** The blob from byte `start` on. */
async function* requestRest(
  session: Session,
  descriptor: Descriptor,
  start: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const response = await session.request("GET", `blobs/${descriptor.digest}`, {
    headers: start === 0 ? {} : { range: `bytes=${start}-` },
    retries: 0,
  });
  let skip = await bytesToSkip(response, session, descriptor, start);
  let isEnded = false;
  try {
    for await (const chunk of response.body) {
      const wanted = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - wanted.length;
      if (wanted.length > 0) yield wanted;
    }
    isEnded = true;
  } finally {
    if (!isEnded) response.discard();
  }
}

async function bytesToSkip(
  response: TransportResponse,
  session: Session,
  descriptor: Descriptor,
  start: number,
): Promise<number> {
  if (response.status === 200) return start;
  const from = /^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1];
  if (response.status === 206 && Number(from) <= start) return start - Number(from);
  if (response.status === 404) {
    response.discard();
    throw new Failure("not-found", `Cannot fetch ${descriptor.digest}: "${session.name}" does not have it`);
  }
  const code = isTransient(response.status) ? "network" : "io";
  throw new Failure(code, `Cannot fetch ${descriptor.digest} from "${session.name}": ${await refusal(response)}`);
}

function tooLong(descriptor: Descriptor): Failure {
  return new Failure(
    "digest-mismatch",
    `Cannot accept content ${descriptor.digest}: it is longer than the ${descriptor.size} bytes that its descriptor says`,
  );
}

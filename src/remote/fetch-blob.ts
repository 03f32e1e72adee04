/**
 * fetchBlob(): a blob's bytes from a position on, by single range requests; a connection that breaks is taken up again at the same
 * byte. A registry that ignores the range and sends the whole blob costs bytes, not correctness. If-Range is not needed: the digest
 * names the content, and whoever reads it checks the digest.
 *
 * @see RFC 9110 section 14
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Descriptor } from "../oci/manifest.ts";
import type { RemoteContext } from "./context.ts";
import { statusFailure, waitToRetry } from "./retry.ts";
import type { Session } from "./session.ts";
import type { TransportResponse } from "./transport.ts";

/** Attempts without a new byte before it gives up. */
const FRUITLESS_MAX = 5;

export interface FetchOptions {
  /** The first byte wanted; 0 by default. */
  readonly from?: number;
  /** Called with bytes that came over the network. */
  readonly onReceived?: ((count: number) => void) | undefined;
  /** Gives an answer with the whole blob that has begun to arrive, once; it is read before the registry is asked. */
  readonly arriving?: (() => TransportResponse | undefined) | undefined;
}

/** Never yields past `descriptor.size`. Failure "not-found", "network", "digest-mismatch" for a blob that is longer. */
export async function* fetchBlob(
  context: RemoteContext,
  session: Session,
  descriptor: Descriptor,
  options: FetchOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = options.from ?? 0;
  let fruitless = 0;
  while (position < descriptor.size) {
    const before = position;
    try {
      const arriving = options.arriving?.();
      for await (const chunk of requestRest(context, session, descriptor, { start: position, arriving })) {
        if (position + chunk.length > descriptor.size) throw tooLong(descriptor);
        position += chunk.length;
        options.onReceived?.(chunk.length);
        yield chunk;
      }
      if (position < descriptor.size) {
        throw new Failure(
          "network",
          `Cannot fetch ${descriptor.digest}: it ended after ${position} of ${descriptor.size} bytes`,
        );
      }
    } catch (error) {
      if (!isFailure(error, "network")) throw error;
      // All of it has come; the server said a length that is too long.
      if (position === descriptor.size) return;
      fruitless = position > before ? 0 : fruitless + 1;
      if (fruitless >= FRUITLESS_MAX) throw error;
      await waitToRetry(context, fruitless, error);
    }
  }
}

/** The blob from byte `start` on. */
async function* requestRest(
  context: RemoteContext,
  session: Session,
  descriptor: Descriptor,
  { start, arriving }: { readonly start: number; readonly arriving: TransportResponse | undefined },
): AsyncGenerator<Uint8Array, void, undefined> {
  const headers = start === 0 ? {} : { range: `bytes=${start}-` };
  const response = arriving ?? (await session.request("GET", `blobs/${descriptor.digest}`, { headers, retries: 0 }));
  let skip = await bytesToSkip(context, response, session, descriptor, start);
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
  context: RemoteContext,
  response: TransportResponse,
  session: Session,
  descriptor: Descriptor,
  start: number,
): Promise<number> {
  if (response.status === 200) return start;
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)/.exec(response.headers["content-range"] ?? "") ?? [];
  if (response.status === 206 && Number(from) <= start && (total === "*" || Number(total) === descriptor.size))
    return start - Number(from);
  if (response.status === 404) {
    response.discard();
    throw new Failure("not-found", `Cannot fetch ${descriptor.digest}: "${session.name}" does not have it`);
  }
  throw await statusFailure(context, response, `Cannot fetch ${descriptor.digest} from "${session.name}"`);
}

function tooLong(descriptor: Descriptor): Failure {
  return new Failure(
    "digest-mismatch",
    `Cannot accept content ${descriptor.digest}: it is longer than the ${descriptor.size} bytes that its descriptor says`,
  );
}

/**
 * verified(): the one door for bytes from outside. It yields what `source` yields and ends with a Failure when the
 * bytes are not exactly `size` long or do not hash to `digest`; it never reads past `size`.
 */
import { createDigester, type Digest, digestAlgorithm } from "./digest.ts";
import { Failure } from "./failure.ts";

export interface Expected {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

export async function* verified(
  source: AsyncIterable<Uint8Array>,
  expected: Expected,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = createDigester(digestAlgorithm(expected.digest));
  let seen = 0;
  for await (const chunk of source) {
    seen += chunk.length;
    requireNotLonger(expected, seen);
    digester.update(chunk);
    yield chunk;
  }
  requireWhole(expected, seen);
  requireDigest(expected, digester.digest());
}

/** The three checks, for who takes bytes in another way. Failure "digest-mismatch". */
export function requireNotLonger({ digest, size }: Expected, seenBytes: number): void {
  if (seenBytes <= size) return;
  throw new Failure(
    "digest-mismatch",
    `Cannot accept content ${digest}: it is longer than the ${size} bytes that its descriptor says`,
  );
}

/** Failure "digest-mismatch" when content is shorter or longer than its descriptor says. */
export function requireWhole({ digest, size }: Expected, seenBytes: number): void {
  if (seenBytes === size) return;
  throw new Failure("digest-mismatch", `Cannot accept content ${digest}: it ended after ${seenBytes} of ${size} bytes`);
}

/** Failure "digest-mismatch" with both digests. */
export function requireDigest({ digest }: Expected, actual: Digest): void {
  if (actual === digest) return;
  throw new Failure("digest-mismatch", `Cannot accept content ${digest}: its bytes hash to ${actual}`);
}

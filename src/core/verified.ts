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
    if (seen > expected.size) {
      throw new Failure(
        "digest-mismatch",
        `Cannot accept content ${expected.digest}: it is longer than the ${expected.size} bytes that its descriptor says`,
      );
    }
    digester.update(chunk);
    yield chunk;
  }
  if (seen !== expected.size) {
    throw new Failure(
      "digest-mismatch",
      `Cannot accept content ${expected.digest}: it ended after ${seen} of ${expected.size} bytes`,
    );
  }
  const actual = digester.digest();
  if (actual !== expected.digest) {
    throw new Failure("digest-mismatch", `Cannot accept content ${expected.digest}: its bytes hash to ${actual}`);
  }
}

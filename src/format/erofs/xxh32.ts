/**
 * xxHash of 32 bits, which EROFS uses for the name filter of xattrs.
 *
 * @see https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, "XXH32 Algorithm Description"
 */

const PRIME1 = 0x9e3779b1;
const PRIME2 = 0x85ebca77;
const PRIME3 = 0xc2b2ae3d;
const PRIME4 = 0x27d4eb2f;
const PRIME5 = 0x165667b1;

/** Unsigned. */
export function xxh32(bytes: Buffer, seed: number): number {
  let at = 0;
  let sum = seed + PRIME5;
  if (bytes.length >= 16) {
    const lanes = [seed + PRIME1 + PRIME2, seed + PRIME2, seed, seed - PRIME1];
    for (; at + 16 <= bytes.length; at += 16) {
      for (let lane = 0; lane < 4; lane++) {
        const mixed = ((lanes[lane] ?? 0) + Math.imul(bytes.readUInt32LE(at + lane * 4), PRIME2)) | 0;
        lanes[lane] = Math.imul(rotate(mixed, 13), PRIME1);
      }
    }
    const [first = 0, second = 0, third = 0, fourth = 0] = lanes;
    sum = rotate(first, 1) + rotate(second, 7) + rotate(third, 12) + rotate(fourth, 18);
  }
  sum = (sum + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4) {
    sum = Math.imul(rotate((sum + Math.imul(bytes.readUInt32LE(at), PRIME3)) | 0, 17), PRIME4);
  }
  for (; at < bytes.length; at++) {
    sum = Math.imul(rotate((sum + Math.imul(bytes[at] ?? 0, PRIME5)) | 0, 11), PRIME1);
  }
  sum = Math.imul(sum ^ (sum >>> 15), PRIME2);
  sum = Math.imul(sum ^ (sum >>> 13), PRIME3);
  return (sum ^ (sum >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

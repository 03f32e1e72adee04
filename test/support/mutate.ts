/** Seeded mutation of bytes, for fuzzers: the same seed gives the same bytes on every machine. */

/** 0 <= value < limit. */
export type Random = (limit: number) => number;

/** mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

const EDGES = [
  0, 1, 2, 4, 7, 8, 11, 12, 31, 32, 36, 127, 128, 255, 256, 4095, 4096, 4097, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
  0xffffffff,
];

/** One to eight changes: bits, edge values, copied, removed and repeated ranges. */
export function mutate(source: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(source);
  for (let count = 1 + random(8); count > 0; count--) {
    if (bytes.length < 16) return bytes;
    const at = random(bytes.length - 8);
    const length = 1 + random(Math.min(64, bytes.length - at - 1));
    switch (random(10)) {
      case 0:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)]);
        break;
      case 2:
        bytes = bytes.subarray(0, 16 + random(bytes.length - 16));
        break;
      case 3:
        bytes.copy(bytes, random(bytes.length - length), at, at + length);
        break;
      case 4:
        bytes.writeUInt16LE((EDGES[random(EDGES.length)] ?? 0) & 0xffff, at);
        break;
      case 5:
        bytes.writeUInt32LE(EDGES[random(EDGES.length)] ?? 0, at);
        break;
      case 6:
        bytes[at] = random(256);
        break;
      case 7:
        bytes[at] = ((bytes[at] ?? 0) + (random(2) === 0 ? 1 : 255)) & 0xff;
        break;
      default:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    }
  }
  return bytes;
}

/** As mutate(), length kept and changes only where bytes are not zero: reaches deep into structured images. */
export function mutateInPlace(source: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(source);
  for (let count = 1 + random(4); count > 0; count--) {
    let at = random(bytes.length);
    for (let tries = 0; tries < 4096 && bytes[at] === 0; tries++) at = (at + 1) % bytes.length;
    const edge = EDGES[random(EDGES.length)] ?? 0;
    if (random(3) === 0 && at + 4 <= bytes.length) bytes.writeUInt32LE(edge, at);
    else bytes[at] = random(2) === 0 ? random(256) : edge & 0xff;
  }
  return bytes;
}

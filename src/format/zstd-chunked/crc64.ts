/**
 * createCrc64(): CRC-64/GO-ISO, the checksum that tar-split gives each file. The polynomial has five terms only
 * (x^64 + x^4 + x^3 + x + 1), so four bytes at once are a handful of shifts and no table is needed.
 *
 * @see ISO 3309; the check value of "123456789" is b90956c775a41001
 */

export interface Crc64 {
  update(bytes: Uint8Array): void;
  /** Eight bytes, big endian. */
  digest(): Buffer;
}

export function createCrc64(): Crc64 {
  let state: readonly [low: number, high: number] = [-1, -1];
  return {
    update(bytes) {
      let [low, high] = state;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const words = bytes.length & ~3;
      for (let at = 0; at < words; at += 4) {
        const word = low ^ view.getInt32(at, true);
        low = high ^ (word << 31) ^ (word << 29) ^ (word << 28);
        high = word ^ (word >>> 1) ^ (word >>> 3) ^ (word >>> 4);
      }
      for (let at = words; at < bytes.length; at += 1) {
        const byte = (low ^ view.getUint8(at)) & 0xff;
        low = (low >>> 8) | (high << 24);
        high = (high >>> 8) ^ (byte << 24) ^ (byte << 23) ^ (byte << 21) ^ (byte << 20);
      }
      state = [low, high];
    },
    digest() {
      const [low, high] = state;
      const bytes = Buffer.alloc(8);
      bytes.writeInt32BE(~high, 0);
      bytes.writeInt32BE(~low, 4);
      return bytes;
    },
  };
}

/**
 * releaseBytes(): gives the memory of a large buffer back now; the collector does so late, because to it a buffer is small. The bytes
 * are gone for everyone who holds them. Small buffers, and those that are part of another, stay as they are.
 */
export function releaseBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (bytes.length >= RELEASED_BYTES_MIN && bytes.length === buffer.byteLength && buffer instanceof ArrayBuffer)
    buffer.transfer(0);
}

const RELEASED_BYTES_MIN = 1024 * 1024;

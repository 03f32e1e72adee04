/**
 * readNewcFiles(): the contents of the regular files in cpio "newc" archives, several of which may follow each other with zeros
 * between, as in an initramfs. What is no archive any more ends it.
 *
 * @see Linux Documentation/driver-api/early-userspace/buffer-format.rst
 */

const HEADER_BYTES = 110;
const FILE_TYPE = 0o100000;
const TYPE_MASK = 0o170000;
const MAGIC = /^07070[12]$/;

/** Whether the bytes begin as an archive does. */
export function isNewc(bytes: Buffer): boolean {
  return MAGIC.test(bytes.toString("latin1", 0, 6));
}

/** Views of `archive`, in its order; empty files are left out. */
export function* readNewcFiles(archive: Buffer): Generator<Buffer, void, undefined> {
  const field = (at: number, number: number): number =>
    Number.parseInt(archive.toString("latin1", at + 6 + number * 8, at + 14 + number * 8), 16);
  for (let at = 0; at + HEADER_BYTES <= archive.length; ) {
    if (archive.readUInt32LE(at) === 0) {
      at += 4;
      continue;
    }
    const [mode, size, nameBytes] = [field(at, 1), field(at, 6), field(at, 11)];
    const start = roundUp(at + HEADER_BYTES + nameBytes);
    const isEntry = isNewc(archive.subarray(at, at + 6)) && start + size <= archive.length;
    if (!isEntry || Number.isNaN(mode)) return;
    if ((mode & TYPE_MASK) === FILE_TYPE && size > 0) yield archive.subarray(start, start + size);
    at = roundUp(start + size);
  }
}

function roundUp(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}

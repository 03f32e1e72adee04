/**
 * cpio "newc" archives: what the kernel unpacks as an initramfs. The bytes are a function of the entries: no owner, no
 * clock, inode numbers in order.
 *
 * @see Linux Documentation/driver-api/early-userspace/buffer-format.rst
 */

interface EntryBase {
  /** Relative, without leading `./` or `/`. Latin1. Parents come before their children. */
  readonly path: string;
  /** 07777 only. */
  readonly mode: number;
}

export type CpioEntry =
  | (EntryBase & { readonly kind: "directory" })
  | (EntryBase & { readonly kind: "file"; readonly content: Uint8Array })
  | (EntryBase & { readonly kind: "symlink"; readonly target: string })
  | (EntryBase & { readonly kind: "char" | "block"; readonly major: number; readonly minor: number });

const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000, char: 0o020000, block: 0o060000 } as const;
const HEADER_BYTES = 110;
const TRAILER = "TRAILER!!!";
const MAX_U32 = 0xffffffff;

/** The archive, uncompressed, padded to 512 bytes. Throws RangeError for what the format cannot hold. */
export function writeNewc(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const seen = new Set<string>();
  entries.forEach((entry, i) => {
    checkPath(entry.path, seen);
    const content = contentOf(entry);
    parts.push(header(entry, i + 1, content.length), content, padding(content.length));
  });
  parts.push(header({ kind: "file", path: TRAILER, mode: 0, content: new Uint8Array() }, 0, 0));
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(Buffer.alloc((512 - (length % 512)) % 512));
  return Buffer.concat(parts);
}

function checkPath(path: string, seen: Set<string>): void {
  if (path === "" || path.startsWith("/") || path.includes("\0") || path === TRAILER) {
    throw new RangeError(`Cannot write cpio entry ${JSON.stringify(path)}: wanted a relative path`);
  }
  if (seen.has(path)) throw new RangeError(`Cannot write cpio entry ${JSON.stringify(path)}: it is there already`);
  const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (parent !== "" && !seen.has(parent)) {
    throw new RangeError(`Cannot write cpio entry ${JSON.stringify(path)}: its directory comes later or not at all`);
  }
  seen.add(path);
}

function contentOf(entry: CpioEntry): Buffer {
  if (entry.kind === "file") {
    if (entry.content.length > MAX_U32)
      throw new RangeError(`Cannot write cpio entry "${entry.path}": it exceeds 4 GiB`);
    return Buffer.from(entry.content.buffer, entry.content.byteOffset, entry.content.length);
  }
  return entry.kind === "symlink" ? Buffer.from(entry.target, "latin1") : Buffer.alloc(0);
}

/** Thirteen fields of eight hexadecimal digits after the magic, then the name, its NUL, and padding to four bytes. */
function header(entry: CpioEntry, inode: number, sizeBytes: number): Buffer {
  const device = entry.kind === "char" || entry.kind === "block" ? entry : { major: 0, minor: 0 };
  const isTrailer = inode === 0;
  const fields = [
    inode,
    isTrailer ? 0 : TYPE_BITS[entry.kind] | (entry.mode & 0o7777),
    0, // uid
    0, // gid
    entry.kind === "directory" ? 2 : 1, // nlink
    0, // mtime
    sizeBytes,
    0, // devmajor
    0, // devminor
    device.major,
    device.minor,
    entry.path.length + 1,
    0, // check: used by the "crc" variant only
  ];
  const text = `070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("")}${entry.path}\0`;
  return Buffer.concat([Buffer.from(text, "latin1"), padding(HEADER_BYTES + entry.path.length + 1)]);
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

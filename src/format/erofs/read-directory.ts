/** readDirectory(): the entries of a directory, names checked to be valid, in strict byte order and without padding inside. */
import { type Image, type RawInode, readPieces } from "./image.ts";
import { DirectoryEntry } from "./layout.ts";

export interface Entry {
  /** Latin1. */
  readonly name: string;
  readonly nid: number;
  readonly fileType: number;
}

/** Without `.` and `..`, which must name this directory and `parentNid`. */
export function readDirectory(image: Image, inode: RawInode, parentNid: number): Entry[] {
  const entries: Entry[] = [];
  let previous = "";
  let dots = 0;
  for (const block of readPieces(image, inode)) {
    for (const entry of readBlock(inode.nid, block)) {
      if (entry.name <= previous)
        throw new SyntaxError(`Cannot read directory ${inode.nid}: its names are not in order`);
      previous = entry.name;
      if (entry.name === "." || entry.name === "..") {
        dots += 1;
        if (entry.nid !== (entry.name === "." ? inode.nid : parentNid)) {
          throw new SyntaxError(`Cannot read directory ${inode.nid}: its entry "${entry.name}" leads elsewhere`);
        }
      } else entries.push(entry);
    }
  }
  if (dots !== 2) throw new SyntaxError(`Cannot read directory ${inode.nid}: it lacks . or ..`);
  return entries;
}

/** Records first, then the names back to back; zeros after the last name. */
function readBlock(nid: number, block: Buffer): Entry[] {
  const first = DirectoryEntry.read(block, 0).nameOffset;
  const count = first / DirectoryEntry.sizeBytes;
  if (!Number.isInteger(count) || count === 0 || first > block.length) {
    throw new SyntaxError(`Cannot read directory ${nid}: its first name stands at ${first}`);
  }
  const records = Array.from({ length: count }, (_, index) =>
    DirectoryEntry.read(block, index * DirectoryEntry.sizeBytes),
  );
  return records.map((record, index) => {
    const next = records[index + 1];
    const end = next === undefined ? endOfLastName(block, record.nameOffset) : next.nameOffset;
    if (record.nameOffset < first || end <= record.nameOffset || end > block.length || end - record.nameOffset > 255) {
      throw new RangeError(`Cannot read directory ${nid}: a name stands from ${record.nameOffset} to ${end}`);
    }
    const name = block.toString("latin1", record.nameOffset, end);
    if (name.includes("/") || name.includes("\0"))
      throw new SyntaxError(`Cannot read directory ${nid}: bad name ${JSON.stringify(name)}`);
    return { name, nid: record.nid, fileType: record.fileType };
  });
}

function endOfLastName(block: Buffer, start: number): number {
  const nul = block.indexOf(0, start);
  return nul === -1 ? block.length : nul;
}

/**
 * openTar(), writeTar(): files of a tar archive, read in place and written without a copy beside it. The archive that is written
 * appears under its name when it is finished.
 */
import { counted } from "../../core/counted.ts";
import { byteNameToText, type ByteName, textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { sniffCompression } from "../../core/compress.ts";
import { verified } from "../../core/verified.ts";
import { BLOCK_BYTES, paddingOf } from "../../format/tar/header.ts";
import { createTarParser } from "../../format/tar/parser.ts";
import { encodeMemberHeader } from "../../format/tar/write.ts";
import type { Host, OpenFile, TemporaryDirectory } from "../../host/host.ts";
import { requireOutputFile } from "../../host/output-file.ts";
import type { FileReader, FileWriter } from "./file-set.ts";

interface Extent {
  readonly offset: number;
  readonly size: number;
}

/** Reads the headers. Failure "not-found", "bad-input" (also when it is cut short), "unsupported" for a compressed archive. */
export function openTar(host: Pick<Host, "files">, path: string): FileReader {
  const extents = readExtents(host, path);
  return {
    size: (name) => extents.get(name)?.size,
    read(name, from = 0, end) {
      const extent = extents.get(name);
      if (extent === undefined) {
        throw new Failure("not-found", `Cannot read "${name}": the archive "${byteNameToText(path)}" does not have it`);
      }
      const stop = Math.min(extent.size, end ?? extent.size);
      return host.files.readStream(path, { start: extent.offset + from, end: extent.offset + stop });
    },
    [Symbol.dispose]() {},
  };
}

export interface TarWriter extends FileWriter {
  /** A file whose size is known only when its bytes have come. Answers that size. */
  putStream(name: string, source: AsyncIterable<Uint8Array>): Promise<number>;
}

/** In a directory of its own, which the next copy to the same archive takes away when this one is killed. */
interface Unfinished {
  readonly directory: TemporaryDirectory;
  readonly path: string;
  readonly file: OpenFile;
}

/** One file at a time goes in; the others wait. Failure "bad-input" when `path` is a folder, "not-found" when its folder is missing. */
export function writeTar(host: Pick<Host, "files">, path: string, signal?: AbortSignal): TarWriter {
  const { files } = host;
  requireOutputFile(files, path, `Cannot write archive "${byteNameToText(path)}"`);
  let unfinished: Unfinished | undefined;
  const begin = (): Unfinished => {
    const directory = files.temporaryDirectory(`${path}.`);
    const inside = `${directory.path}/archive`;
    return { directory, path: inside, file: files.open(inside, "create") };
  };
  const output = (): OpenFile => (unfinished ??= begin()).file;
  const sizes = new Map<string, number>();
  /** putBytes() of the same name counts once, the last time. */
  const small = new Map<string, Uint8Array>();
  let position = 0;
  let isDone = false;
  let last: Promise<unknown> = Promise.resolve();
  const oneByOne = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };
  const append = async (name: string, source: AsyncIterable<Uint8Array>): Promise<number> => {
    const start = position;
    const headerBytes = encodeMemberHeader(memberOf(name, 0)).length;
    let size = 0;
    for await (const chunk of source) {
      signal?.throwIfAborted();
      output().write(chunk, start + headerBytes + size);
      size += chunk.length;
    }
    const header = encodeMemberHeader(memberOf(name, size));
    if (header.length !== headerBytes) {
      throw new Failure(
        "unsupported",
        `Cannot write "${name}": it has ${size} bytes, wanted at most 8 GiB in an archive`,
      );
    }
    output().write(header, start);
    const padding = paddingOf(size);
    if (padding > 0) output().write(Buffer.alloc(padding), start + headerBytes + size);
    position = start + headerBytes + size + padding;
    sizes.set(name, size);
    return size;
  };
  const putSmall = (name: string, bytes: Uint8Array): void => {
    const block = Buffer.concat([
      encodeMemberHeader(memberOf(name, bytes.length)),
      bytes,
      Buffer.alloc(paddingOf(bytes.length)),
    ]);
    output().write(block, position);
    position += block.length;
  };
  return {
    size: (name) => sizes.get(name) ?? small.get(name)?.length,
    put: (name, expected, open, onBytes) =>
      oneByOne(async () => {
        if (sizes.has(name)) return;
        await append(name, counted(verified(open(0), expected), onBytes));
      }),
    putStream: (name, source) => oneByOne(async () => sizes.get(name) ?? (await append(name, source))),
    putBytes: (name, bytes) => void small.set(name, typeof bytes === "string" ? Buffer.from(bytes) : bytes),
    finish() {
      for (const [name, bytes] of small) putSmall(name, bytes);
      const whole = (unfinished ??= begin());
      whole.file.write(Buffer.alloc(2 * BLOCK_BYTES), position);
      whole.file.sync();
      whole.file.close();
      files.rename(whole.path, path);
      isDone = true;
      whole.directory[Symbol.dispose]();
      files.sync(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) || "/" : ".");
    },
    async [Symbol.asyncDispose]() {
      await last;
      if (isDone || unfinished === undefined) return;
      unfinished.file.close();
      unfinished.directory[Symbol.dispose]();
    },
  };
}

/** Where each file's content lies. A symlink stands for the file that it names in the archive. */
function readExtents(host: Pick<Host, "files">, path: string): Map<string, Extent> {
  const extents = new Map<string, Extent>();
  const links = new Map<string, string>();
  let position = 0;
  let size = 0;
  let isFile = false;
  let name = "";
  const parser = createTarParser({
    raw() {},
    content() {},
    member(member) {
      isFile = member.kind === "file";
      name = byteNameToText(member.path);
      size = member.kind === "file" ? member.size : 0;
      if (member.kind === "file" && size === 0) extents.set(name, { offset: position, size });
      if (member.kind === "symlink") links.set(name, byteNameToText(member.target));
    },
  });
  using file = host.files.open(path, "read");
  const sizeBytes = file.sizeBytes();
  const block = Buffer.alloc(BLOCK_BYTES);
  const cannot = `Cannot read archive "${byteNameToText(path)}"`;
  try {
    for (;;) {
      const count = file.read(block, position);
      if (position === 0 && sniffCompression(block.subarray(0, count)) !== "none") {
        throw new Failure("unsupported", `${cannot}: it is compressed, wanted a plain tar`, {
          hint: "decompress it first, for example with gunzip or zstd -d",
        });
      }
      if (count === 0) break;
      parser.push(block.subarray(0, count));
      position += count;
      if (!isFile || !parser.expectsContent) continue;
      if (position + size > sizeBytes) {
        throw new Failure(
          "bad-input",
          `${cannot}: it ends at byte ${sizeBytes} within "${name}", wanted ${position + size} bytes or more`,
          { hint: "it was not copied or written whole: make it again" },
        );
      }
      extents.set(name, { offset: position, size });
      parser.skipContent();
      position += size;
      const padding = paddingOf(size);
      if (padding > 0) parser.push(block.subarray(0, file.read(block.subarray(0, padding), position)));
      position += padding;
    }
    parser.end();
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    const state = extents.size === 0 ? "it is no tar archive" : "it is damaged";
    throw new Failure("bad-input", `${cannot}: ${state}`, { cause });
  }
  for (const [link, target] of links) {
    const extent = extents.get(resolveLink(link, target));
    if (extent !== undefined) extents.set(link, extent);
  }
  return extents;
}

function resolveLink(link: string, target: string): string {
  const parts = link.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

function memberOf(
  name: string,
  size: number,
): {
  kind: "file";
  path: ByteName;
  size: number;
  stat: {
    mode: number;
    uid: number;
    gid: number;
    mtimeSec: number;
    mtimeNsec: number;
    xattrs: ReadonlyMap<string, Uint8Array>;
  };
} {
  const stat = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: new Map<string, Uint8Array>() };
  return { kind: "file", path: textToByteName(name), size, stat };
}

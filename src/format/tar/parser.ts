/**
 * createTarParser(): a push parser for tar. Chunks go in; members, their content and every other byte (headers, padding, end
 * blocks) come out in order, so that whoever keeps the raw bytes and the contents can give back the archive exactly.
 *
 * It reads ustar, PAX (local and global), GNU long names and base-256 numbers, and refuses sparse files, multi-volume archives
 * and paths with `..`. A layer's format is the tar that the image-spec describes; what real writers do beyond it is accepted.
 *
 * @see OCI image-spec layer.md; POSIX.1-2024 pax; GNU tar manual, "Tar Internals"
 */
import { byteNameToText } from "../../core/bytes.ts";
import { BLOCK_BYTES, isZeroBlock, paddingOf, readHeader, type TarHeader } from "./header.ts";
import { readMember, readOrigin, type TarMember, type TarOrigin } from "./member.ts";
import { type PaxRecords, readPaxRecords } from "./pax.ts";

export interface TarSink {
  /** Bytes that are no file's content, in archive order. The view is only valid during the call. */
  raw(bytes: Buffer): void;
  /** Called before member(), by those who want it. */
  origin?(origin: TarOrigin): void;
  /** A member's header is complete; its bytes were given to raw() before. A file of size > 0 has content next. */
  member(member: TarMember): void;
  /** Content of the last member; the pieces add up to its size. The view is only valid during the call. */
  content(bytes: Buffer): void;
}

export interface TarParser {
  push(chunk: Uint8Array): void;
  /** The content of the last member is not in the input (a splitstream names an object in its place). */
  skipContent(): void;
  /** True between a file's header and the first byte of its content. */
  readonly expectsContent: boolean;
  /** The input ended. Throws SyntaxError when that is inside a member. */
  end(): void;
}

/** Bytes of an extended header or a GNU long name. */
export const EXTENSION_BYTES_MAX = 1024 * 1024;

type State = "header" | "extension" | "content" | "padding" | "end";

/** push() and end() throw SyntaxError with the byte offset and the member's name, and what the sink throws. */
export function createTarParser(sink: TarSink): TarParser {
  const partial = Buffer.alloc(BLOCK_BYTES);
  let partialBytes = 0;
  let state: State = "header";
  /** Bytes of the state's data still to come. */
  let left = 0;
  let padding = 0;
  let offset = 0;
  let zeroBlocks = 0;
  let contentStarted = false;
  let current = "";
  let extension: Buffer = Buffer.alloc(0);
  let extensionType = "";
  let globals: PaxRecords = new Map();
  let locals: PaxRecords | undefined;
  let longName: string | undefined;
  let longLink: string | undefined;

  /** What the sink throws (a full disk) goes through as it is. */
  const fail = (error: unknown): never => {
    if (error instanceof Error && !(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    const why = error instanceof Error ? error.message : String(error);
    const member = current === "" ? "" : ` (member ${JSON.stringify(byteNameToText(current).slice(0, 300))})`;
    throw new SyntaxError(`Cannot read tar at byte ${offset}${member}: ${why}`, { cause: error });
  };

  const afterData = (): void => {
    left = padding;
    state = padding === 0 ? "header" : "padding";
  };

  const startExtension = (header: TarHeader): void => {
    if (header.size > EXTENSION_BYTES_MAX) {
      throw new SyntaxError(`extended header is ${header.size} bytes long, wanted at most ${EXTENSION_BYTES_MAX}`);
    }
    extension = Buffer.alloc(header.size);
    extensionType = header.type;
    padding = paddingOf(header.size);
    left = header.size;
    state = "extension";
    if (left === 0) endExtension();
  };

  const endExtension = (): void => {
    switch (extensionType) {
      case "x":
        locals = readPaxRecords(extension);
        break;
      case "g":
        globals = new Map([...globals, ...readPaxRecords(extension)]);
        break;
      default: {
        const nul = extension.indexOf(0);
        const text = extension.toString("latin1", 0, nul < 0 ? extension.length : nul);
        if (extensionType === "L") longName = text;
        else longLink = text;
      }
    }
    afterData();
  };

  const startMember = (header: TarHeader): void => {
    const extensions = { globals, locals, longName, longLink };
    const member = readMember(header, extensions);
    sink.origin?.(readOrigin(header, extensions));
    locals = undefined;
    longName = undefined;
    longLink = undefined;
    left = member.kind === "file" ? member.size : 0;
    padding = paddingOf(left);
    contentStarted = false;
    state = left === 0 ? "header" : "content";
    sink.member(member);
  };

  /** One whole block at `at`. */
  const takeHeader = (bytes: Buffer, at: number): void => {
    const block = bytes.subarray(at, at + BLOCK_BYTES);
    if (isZeroBlock(bytes, at)) {
      zeroBlocks += 1;
      if (zeroBlocks === 2) state = "end";
      sink.raw(block);
      return;
    }
    current = "";
    if (zeroBlocks > 0) throw new SyntaxError("a header follows a lone block of zeros");
    const header = readHeader(bytes, at);
    current = longName ?? header.name;
    sink.raw(block);
    if (header.type === "x" || header.type === "g" || header.type === "L" || header.type === "K")
      startExtension(header);
    else startMember(header);
  };

  const push = (bytes: Buffer): void => {
    let at = 0;
    while (at < bytes.length) {
      const available = bytes.length - at;
      if (state === "header") {
        if (partialBytes === 0 && available >= BLOCK_BYTES) {
          takeHeader(bytes, at);
          at += BLOCK_BYTES;
          offset += BLOCK_BYTES;
          continue;
        }
        const take = Math.min(BLOCK_BYTES - partialBytes, available);
        bytes.copy(partial, partialBytes, at, at + take);
        partialBytes += take;
        at += take;
        if (partialBytes < BLOCK_BYTES) return;
        partialBytes = 0;
        takeHeader(partial, 0);
        offset += BLOCK_BYTES;
        continue;
      }
      const take = state === "end" ? available : Math.min(left, available);
      const piece = bytes.subarray(at, at + take);
      if (state === "content") {
        contentStarted = true;
        sink.content(piece);
      } else {
        if (state === "extension") piece.copy(extension, extension.length - left);
        sink.raw(piece);
      }
      at += take;
      offset += take;
      if (state === "end") continue;
      left -= take;
      if (left > 0) continue;
      if (state === "extension") endExtension();
      else if (state === "content") afterData();
      else state = "header";
    }
  };

  return {
    push(chunk) {
      try {
        push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
      } catch (error) {
        fail(error);
      }
    },
    get expectsContent() {
      return state === "content" && !contentStarted;
    },
    skipContent() {
      if (state !== "content" || contentStarted) fail("content is skipped where none is expected");
      offset += left;
      afterData();
    },
    end() {
      if (
        state === "end" ||
        (state === "header" && partialBytes === 0 && locals === undefined && longName === undefined)
      )
        return;
      offset += partialBytes;
      fail(`it ends here, ${state === "header" ? "wanted a member's header" : `wanted ${left} more bytes`}`);
    },
  };
}

/**
 * Files of the real host: Node's synchronous calls, and syscall.ts for what Node lacks. Assembled from content (here), the
 * directory tree (linux-tree.ts) and attributes (linux-attributes.ts).
 *
 * Invariant: what replace() writes is on disk under its final name, whole, before the call returns.
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { Failure } from "../core/failure.ts";
import { openFileDigester } from "./file-digester.ts";
import { notReplaceable, systemFailure } from "./errors.ts";
import type { Files, FileStream, Lock, OpenFile, OpenMode } from "./host.ts";
import { createAttributes } from "./linux-attributes.ts";
import { openNow, readWhole } from "./linux-open.ts";
import { attempt, attemptIfAny, baseOf, nodePath, parentOf } from "./linux-path.ts";
import { createTree } from "./linux-tree.ts";
import * as syscall from "./syscall.ts";

export function createLinuxFiles(): Files {
  return { ...createContent(), ...createTree(), ...createAttributes() };
}

type ContentCalls =
  | "read"
  | "readText"
  | "readTextIfAny"
  | "write"
  | "replace"
  | "replaceSymlink"
  | "open"
  | "copy"
  | "truncate"
  | "sync"
  | "syncInBackground"
  | "syncFileSystem"
  | "lock"
  | "space"
  | "enableVerity"
  | "measureVerity"
  | "readStream"
  | "openDigester";

function createContent(): Pick<Files, ContentCalls> {
  return {
    read: (path) => attempt({ call: "read", path }, () => readWhole(path)),
    readText: (path) => attempt({ call: "read", path }, () => readWhole(path).toString("utf8")),
    readTextIfAny: (path) => attemptIfAny({ call: "read", path }, () => readWhole(path).toString("utf8")),
    write: (path, content, options = {}) => {
      attempt({ call: "write", path }, () => {
        const fd = openNow("write", path, O_WRONLY | O_CREAT | O_TRUNC, options.mode);
        try {
          fs.writeFileSync(fd, content);
          if (options.mode !== undefined) fs.fchmodSync(fd, options.mode);
        } finally {
          fs.closeSync(fd);
        }
      });
    },
    replace,
    replaceSymlink,
    open: openFile,
    copy: copyFile,
    truncate: (path, sizeBytes) => {
      attempt({ call: "truncate", path }, () => {
        const fd = openNow("truncate", path, O_RDWR);
        try {
          fs.ftruncateSync(fd, sizeBytes);
        } finally {
          fs.closeSync(fd);
        }
      });
    },
    sync: (path) => withFd(path, "sync", (fd) => fs.fsyncSync(fd)),
    syncInBackground,
    syncFileSystem: (path) => withFd(path, "sync the file system of", (fd) => syscall.syncFileSystem(fd, path)),
    lock,
    space: (path) => {
      const { bavail, blocks, bsize } = attempt({ call: "measure space at", path }, () =>
        fs.statfsSync(nodePath(path)),
      );
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    },
    enableVerity: (path, algorithm) =>
      withFd(path, "enable fs-verity on", (fd) => {
        const result = syscall.enableVerity(fd, algorithm);
        if (result.errno === "EOPNOTSUPP" || result.errno === "ENOTTY" || result.errno === "ENOSYS")
          return "unsupported";
        if (result.errno !== "EEXIST") syscall.check(result, { call: "enable fs-verity on", path });
        return "enabled";
      }),
    measureVerity: (path) => withFd(path, "measure fs-verity of", (fd) => syscall.measureVerity(fd, path)),
    readStream,
    openDigester: openFileDigester,
  };
}

function withFd<Result>(path: string, verb: string, work: (fd: number) => Result): Result {
  return attempt({ call: verb, path }, () => {
    const fd = fs.openSync(nodePath(path), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    try {
      return work(fd);
    } finally {
      fs.closeSync(fd);
    }
  });
}

function syncInBackground(path: string): Promise<void> {
  const fd = attempt({ call: "sync", path }, () => fs.openSync(nodePath(path), O_RDONLY));
  return new Promise((resolve, reject) => {
    fs.fsync(fd, (error) => {
      fs.closeSync(fd);
      if (error === null) resolve();
      else reject(systemFailure({ call: "sync", path }, error.code ?? "EIO"));
    });
  });
}

/** A name beside `path` that nobody else uses. */
function temporaryName(path: string): string {
  const parent = parentOf(path);
  return `${parent === "/" ? "" : parent}/.${baseOf(path).slice(0, 200)}.${randomBytes(6).toString("hex")}.tmp`;
}

function replace(...[path, content, options = {}]: Parameters<Files["replace"]>): void {
  const temporary = temporaryName(path);
  attempt({ call: "replace", path }, () => {
    const there = fs.statSync(nodePath(path), { throwIfNoEntry: false });
    if (there !== undefined && !there.isFile() && !there.isDirectory()) throw notReplaceable(path);
    const fd = fs.openSync(nodePath(temporary), "wx", options.mode ?? 0o644);
    try {
      try {
        fs.writeFileSync(fd, content);
        if (options.owner !== undefined) fs.fchownSync(fd, options.owner.uid, options.owner.gid);
        if (options.mode !== undefined) fs.fchmodSync(fd, options.mode);
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
      fs.renameSync(nodePath(temporary), nodePath(path));
    } catch (error) {
      fs.rmSync(nodePath(temporary), { force: true });
      throw error;
    }
  });
  withFd(parentOf(path), "sync", (fd) => fs.fsyncSync(fd));
}

function replaceSymlink(path: string, target: string): void {
  const temporary = temporaryName(path);
  attempt({ call: "replace", path }, () => {
    fs.symlinkSync(nodePath(target), nodePath(temporary));
    try {
      fs.renameSync(nodePath(temporary), nodePath(path));
    } catch (error) {
      fs.rmSync(nodePath(temporary), { force: true });
      throw error;
    }
  });
  withFd(parentOf(path), "sync", (fd) => fs.fsyncSync(fd));
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = fs.constants;
const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  write: O_WRONLY | O_CREAT | O_TRUNC,
  create: O_RDWR | O_CREAT | O_EXCL,
  append: O_WRONLY | O_CREAT | O_APPEND,
  "read-write": O_RDWR | O_CREAT,
};

function openFile(path: string, mode: OpenMode, permissions?: number): OpenFile {
  const fd = attempt({ call: "open", path }, () => openNow("open", path, OPEN_FLAGS[mode], permissions));
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    attempt({ call: "close", path }, () => fs.closeSync(fd));
  };
  if (permissions !== undefined && mode !== "read") {
    attempt({ call: "change mode of", path }, () => fs.fchmodSync(fd, permissions));
  }
  return {
    path,
    read: (into, positionBytes) =>
      attempt({ call: "read", path }, () => {
        let done = 0;
        while (done < into.length) {
          const position = positionBytes === undefined ? null : positionBytes + done;
          const count = fs.readSync(fd, into, done, into.length - done, position);
          if (count === 0) break;
          done += count;
        }
        return done;
      }),
    write: (bytes, positionBytes) =>
      attempt({ call: "write", path }, () => {
        let done = 0;
        while (done < bytes.length) {
          const position = positionBytes === undefined ? null : positionBytes + done;
          done += fs.writeSync(fd, bytes, done, bytes.length - done, position);
        }
      }),
    writeAll: (pieces, positionBytes) =>
      attempt({ call: "write", path }, () => {
        let rest = pieces;
        for (let position = positionBytes; rest.length > 0; ) {
          const count = fs.writevSync(fd, rest, position);
          position += count;
          rest = withoutBytes(rest, count);
        }
      }),
    sizeBytes: () => attempt({ call: "measure", path }, () => fs.fstatSync(fd).size),
    sync: () => attempt({ call: "sync", path }, () => fs.fsyncSync(fd)),
    close,
    [Symbol.dispose]: close,
  };
}

/** What is left after the first `count` bytes, without empty pieces. */
function withoutBytes(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  return pieces.flatMap((piece) => {
    const rest = piece.subarray(Math.min(skip, piece.length));
    skip -= piece.length - rest.length;
    return rest.length === 0 ? [] : [rest];
  });
}

/** Shares extents where the file system can; else copies extent by extent, so that holes stay holes. */
function copyFile(from: string, to: string): void {
  const where = { call: "copy", path: from, other: to };
  attempt(where, () => {
    const source = openNow("copy", from, O_RDONLY);
    try {
      const stat = fs.fstatSync(source);
      if (stat.isDirectory()) throw systemFailure(where, "EISDIR");
      const { size, mode } = stat;
      const target = openNow("copy to", to, O_WRONLY | O_CREAT, mode & 0o777);
      try {
        const { dev, ino } = fs.fstatSync(target);
        if (dev === stat.dev && ino === stat.ino) throw systemFailure(where, "EINVAL");
        fs.ftruncateSync(target, 0);
        fs.fchmodSync(target, mode & 0o7777);
        if (!syscall.cloneFile(target, source)) copyExtents(source, target, size, where);
      } finally {
        fs.closeSync(target);
      }
    } finally {
      fs.closeSync(source);
    }
  });
}

function copyExtents(
  source: number,
  target: number,
  sizeBytes: number,
  where: { call: string; path: string; other: string },
): void {
  fs.ftruncateSync(target, sizeBytes);
  let position = 0;
  while (position < sizeBytes) {
    const data = syscall.seekExtent(source, position, "data");
    if (data === undefined) break;
    const end = Math.min(sizeBytes, syscall.seekExtent(source, data, "hole") ?? sizeBytes);
    position = data;
    while (position < end) {
      const copied = syscall.copyRange(source, target, position, end - position);
      if (copied.errno === "EXDEV" || copied.errno === "EINVAL" || copied.errno === "EOPNOTSUPP") {
        copyThroughMemory(source, target, position, end);
        position = end;
        break;
      }
      const count = syscall.check(copied, where);
      if (count === 0) throw systemFailure(where, "EIO");
      position += count;
    }
  }
}

function copyThroughMemory(source: number, target: number, start: number, end: number): void {
  const buffer = Buffer.allocUnsafe(Math.min(1 << 20, end - start));
  for (let position = start; position < end; ) {
    const count = fs.readSync(source, buffer, 0, Math.min(buffer.length, end - position), position);
    if (count === 0) return;
    for (let done = 0; done < count; ) done += fs.writeSync(target, buffer, done, count - done, position + done);
    position += count;
  }
}

function lock(path: string, how: "shared" | "exclusive", options: { wait: boolean }): Lock {
  const isDirectory = fs.statSync(nodePath(path), { throwIfNoEntry: false })?.isDirectory() ?? false;
  const fd = attempt({ call: "lock", path }, () => openNow("lock", path, isDirectory ? O_RDONLY : O_RDWR | O_CREAT));
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    fs.closeSync(fd);
  };
  try {
    if (!syscall.lockFile(fd, how, { wait: options.wait, path })) {
      throw new Failure("busy", `Cannot lock ${JSON.stringify(path)}: another process holds it`, {
        hint: "wait until the other berth has ended, or end it",
      });
    }
  } catch (error) {
    release();
    throw error;
  }
  return { release, [Symbol.dispose]: release };
}

const CHUNK_BYTES = 1 << 20;

/** The file is opened in the caller's mount namespace, at the first read; only the reads run on Node's threads. */
function readStream(path: string, range: { start?: number; end?: number } = {}): FileStream {
  const read = async function* (
    bufferFor: (sizeBytes: number) => Uint8Array,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const fd = attempt({ call: "open", path }, () => openNow("open", path, O_RDONLY));
    try {
      let position = range.start ?? 0;
      const end = range.end ?? Number.MAX_SAFE_INTEGER;
      while (position < end) {
        const buffer = bufferFor(end - position);
        // A pipe has no positions.
        const count = await readAt(fd, buffer, { position: range.start === undefined ? null : position, path });
        if (count === 0) return;
        position += count;
        yield buffer.subarray(0, count);
      }
    } finally {
      fs.closeSync(fd);
    }
  };
  return {
    [Symbol.asyncIterator]: () => read((sizeBytes) => Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, sizeBytes))),
    into: (buffer) => read((sizeBytes) => buffer.subarray(0, Math.min(buffer.length, sizeBytes))),
  };
}

function readAt(fd: number, buffer: Uint8Array, from: { position: number | null; path: string }): Promise<number> {
  const { position, path } = from;
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, 0, buffer.length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(systemFailure({ call: "read", path }, error.code ?? "EIO"));
    });
  });
}

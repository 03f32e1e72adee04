/**
 * openNow(): open(2) that never waits. A FIFO would hold the program until somebody comes to its other end, so a FIFO that has a name
 * is refused, as a socket is; a pipe that the shell handed over (`<(…)`, /dev/stdin) is a file like any other.
 *
 * @see fifo(7), open(2) O_NONBLOCK
 */
import * as fs from "node:fs";
import { endless, notAFile } from "./errors.ts";
import { errnoOf, nodePath } from "./linux-path.ts";

const { O_NONBLOCK } = fs.constants;
/** PIPEFS_MAGIC of linux/magic.h. */
const PIPE_FILE_SYSTEM = 0x50495045;

/** The descriptor is a blocking one. Failure "bad-input", which says that it could not `call` the FIFO or socket; else Node's error. */
export function openNow(call: string, path: string, flags: number, permissions = 0o644): number {
  const name = nodePath(path);
  const fd = open(call, path, flags | O_NONBLOCK, permissions);
  const stat = fs.fstatSync(fd);
  if (stat.isFile() || stat.isDirectory()) return fd;
  fs.closeSync(fd);
  if (stat.isFIFO() && fs.statfsSync(name).type !== PIPE_FILE_SYSTEM) throw notAFile({ call, path });
  return fs.openSync(name, flags, permissions);
}

/** ENXIO: a socket, or a FIFO for writing that nobody reads. */
function open(call: string, path: string, flags: number, permissions: number): number {
  const name = nodePath(path);
  try {
    return fs.openSync(name, flags, permissions);
  } catch (error) {
    if (errnoOf(error) !== "ENXIO") throw error;
    const stat = fs.statSync(name);
    throw stat.isFIFO() || stat.isSocket() ? notAFile({ call, path }) : error;
  }
}

/** Of what is no regular file: /dev/zero would fill the memory, and nothing could interrupt that. */
const STREAM_BYTES_MAX = 2 ** 28;
const CHUNK_BYTES = 2 ** 20;

/** Failure as openNow(), and for a device or pipe with more than 256 MiB. */
export function readWhole(path: string): Buffer {
  const fd = openNow("read", path, fs.constants.O_RDONLY);
  try {
    return fs.fstatSync(fd).isFile() ? fs.readFileSync(fd) : readStreamed(fd, path);
  } finally {
    fs.closeSync(fd);
  }
}

function readStreamed(fd: number, path: string): Buffer {
  const chunks: Buffer[] = [];
  for (let total = 0; total <= STREAM_BYTES_MAX; ) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = fs.readSync(fd, chunk);
    if (count === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, count));
    total += count;
  }
  throw endless({ call: "read", path }, STREAM_BYTES_MAX);
}

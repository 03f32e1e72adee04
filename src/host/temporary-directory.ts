/**
 * createTemporaryDirectory(): a new directory that goes away with its maker, even when that is killed: it is locked while the maker
 * lives, and whoever makes the next one of the same prefix removes those that nobody holds.
 *
 * @see flock(2)
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { isFailure } from "../core/failure.ts";
import type { TemporaryDirectory } from "./host.ts";
import { attempt, attemptIfAny, nodePath } from "./linux-path.ts";
import { lockFile } from "./syscall.ts";

const UNIQUE_BYTES = 6;
const UNIQUE = /^[0-9a-f]{12}$/;

/** `remove` takes a whole directory away, and throws Failure "busy" for one with a mount in it. */
export function createTemporaryDirectory(prefix: string, remove: (path: string) => void): TemporaryDirectory {
  removeAbandoned(prefix, remove);
  for (;;) {
    const path = `${prefix}${randomBytes(UNIQUE_BYTES).toString("hex")}`;
    attempt({ call: "make temporary directory", path }, () => fs.mkdirSync(nodePath(path), 0o700));
    // Another process that looks just now takes it for abandoned, and is then first to lock it.
    const lock = lockDirectory(path, { wait: true });
    if (lock === undefined) continue;
    if (!fs.existsSync(nodePath(path))) {
      lock.release();
      continue;
    }
    return {
      path,
      [Symbol.dispose]() {
        try {
          remove(path);
        } finally {
          lock.release();
        }
      },
    };
  }
}

function removeAbandoned(prefix: string, remove: (path: string) => void): void {
  const at = prefix.lastIndexOf("/") + 1;
  const folder = prefix.slice(0, at) || ".";
  const start = prefix.slice(at);
  const names = attemptIfAny({ call: "list", path: folder }, () => fs.readdirSync(nodePath(folder), "latin1"));
  for (const name of names ?? []) {
    if (!name.startsWith(start) || !UNIQUE.test(name.slice(start.length))) continue;
    const path = `${prefix}${name.slice(start.length)}`;
    const stat = attemptIfAny({ call: "stat", path }, () => fs.lstatSync(nodePath(path), { throwIfNoEntry: false }));
    if (stat?.isDirectory() !== true || stat.uid !== process.getuid?.()) continue;
    const lock = lockDirectory(path, { wait: false });
    if (lock === undefined) continue;
    try {
      remove(path);
    } catch (error) {
      if (!isFailure(error, "busy")) throw error;
    } finally {
      lock.release();
    }
  }
}

/** undefined when it has gone, or when it is held and `wait` is false. */
function lockDirectory(path: string, { wait }: { wait: boolean }): { release(): void } | undefined {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;
  const fd = attemptIfAny({ call: "lock", path }, () =>
    fs.openSync(nodePath(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
  );
  if (fd === undefined) return undefined;
  const release = (): void => fs.closeSync(fd);
  let isHeld = false;
  try {
    isHeld = lockFile(fd, "exclusive", { wait, path });
    return isHeld ? { release } : undefined;
  } finally {
    if (!isHeld) release();
  }
}

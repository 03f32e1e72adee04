/** The attribute half of the real host's Files: modes, owners, times, extended attributes. Only chmod follows symlinks. */
import * as fs from "node:fs";
import { NO_XATTRS } from "../tree/node.ts";
import type { Files } from "./host.ts";
import { attempt, nodePath } from "./linux-path.ts";
import * as syscall from "./syscall.ts";

type AttributeCalls = "chmod" | "chown" | "setTimes" | "xattrs" | "setXattr" | "removeXattr";

export function createAttributes(): Pick<Files, AttributeCalls> {
  return {
    chmod: (path, mode) => {
      attempt({ call: "change mode of", path }, () => fs.chmodSync(nodePath(path), mode));
    },
    chown: (path, uid, gid) => {
      attempt({ call: "change owner of", path }, () => fs.lchownSync(nodePath(path), uid, gid));
    },
    setTimes: syscall.setTimes,
    xattrs: (path) => {
      const names = syscall.listXattrs(path);
      if (names.length === 0) return NO_XATTRS;
      const found = new Map<string, Uint8Array>();
      for (const name of names.sort()) {
        const value = syscall.getXattr(path, name);
        if (value !== undefined) found.set(name, value);
      }
      return found;
    },
    setXattr: syscall.setXattr,
    removeXattr: syscall.removeXattr,
  };
}

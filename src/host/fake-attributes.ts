/** The attribute half of the fake host's Files: modes, owners, times, extended attributes, fs-verity. */
import { createHash } from "node:crypto";
import { NO_XATTRS } from "../tree/node.ts";
import { systemFailure } from "./errors.ts";
import type { Inode } from "./fake-disk.ts";
import type { FakeWorld } from "./fake-world.ts";
import type { Files } from "./host.ts";

type AttributeCalls =
  | "chmod"
  | "chown"
  | "setTimes"
  | "xattrs"
  | "setXattr"
  | "removeXattr"
  | "enableVerity"
  | "measureVerity";

export function createFakeAttributes(world: FakeWorld, verity: boolean): Pick<Files, AttributeCalls> {
  /** One attribute change, with the way back. */
  const update = (
    call: string,
    path: string,
    options: { follow: boolean },
    apply: (inode: Inode) => () => void,
  ): void => {
    const { inode, inodeMount } = world.find(call, path, options);
    if (inodeMount.readOnly) throw systemFailure({ call, path }, "EROFS");
    world.mutate(call, path, () => {
      let undo = (): void => undefined;
      world.disk.change(
        [inode],
        () => void (undo = apply(inode)),
        () => undo(),
      );
    });
  };
  const itself = { follow: false };
  return {
    chmod: (path, mode) =>
      update("change mode of", path, { follow: true }, (inode) => assign(inode, { mode: mode & 0o7777 })),
    chown: (path, uid, gid) =>
      update("change owner of", path, itself, (inode) => {
        // As the kernel: a new owner loses the set-id bits of a program.
        const mode = inode.kind === "file" && (inode.mode & 0o111) !== 0 ? inode.mode & ~0o6000 : inode.mode;
        return assign(inode, { uid, gid, mode });
      }),
    setTimes: (path, mtimeSec, mtimeNsec) =>
      update("set times of", path, itself, (inode) => assign(inode, { mtimeSec, mtimeNsec })),
    xattrs: (path) => {
      const { inode } = world.find("list attributes of", path, itself);
      return inode.xattrs.size === 0 ? NO_XATTRS : new Map([...inode.xattrs].sort(([a], [b]) => (a < b ? -1 : 1)));
    },
    setXattr: (path, name, value) =>
      update("set attribute of", path, itself, (inode) => {
        refuseUserAttribute("set attribute of", path, inode, name);
        return setXattr(inode, name, value);
      }),
    removeXattr: (path, name) => {
      const { inode } = world.find("remove attribute of", path, itself);
      refuseUserAttribute("remove attribute of", path, inode, name);
      if (!inode.xattrs.has(name)) throw systemFailure({ call: `remove attribute ${name} of`, path }, "ENODATA");
      update("remove attribute of", path, itself, () => setXattr(inode, name, undefined));
    },
    enableVerity: (path, algorithm) => {
      const { inode } = world.find("enable fs-verity on", path, { follow: true });
      if (!verity) return "unsupported";
      if (inode.verity !== undefined) return "enabled";
      const content = inode.content.subarray(0, inode.size);
      update("enable fs-verity on", path, { follow: true }, () =>
        assign(inode, { verity: verityDigest(content, algorithm) }),
      );
      return "enabled";
    },
    measureVerity: (path) => world.find("measure fs-verity of", path, { follow: true }).inode.verity,
  };
}

function assign(inode: Inode, fields: Partial<Inode>): () => void {
  const before = Object.fromEntries(Object.keys(fields).map((key) => [key, Reflect.get(inode, key)]));
  Object.assign(inode, fields);
  return () => Object.assign(inode, before);
}

function setXattr(inode: Inode, name: string, value: Uint8Array | undefined): () => void {
  const before = inode.xattrs.get(name);
  const put = (content: Uint8Array | undefined): void => {
    if (content === undefined) inode.xattrs.delete(name);
    else inode.xattrs.set(name, Buffer.from(content));
  };
  put(value);
  return () => put(before);
}

/** xattr(7): only files and directories have attributes of users. */
function refuseUserAttribute(call: string, path: string, inode: Inode, name: string): void {
  const may = inode.kind === "file" || inode.kind === "directory";
  if (name.startsWith("user.") && !may) throw systemFailure({ call, path }, "EPERM");
}

const BLOCK_BYTES = 4096;

/** The kernel's digest: a hash tree over 4096-byte blocks, then the descriptor (Documentation/filesystems/fsverity.rst). */
function verityDigest(content: Uint8Array, algorithm: "sha256" | "sha512"): string {
  const hash = (bytes: Uint8Array): Buffer => createHash(algorithm).update(bytes).digest();
  const level = (bytes: Uint8Array): Buffer => {
    const hashes: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
      const block = Buffer.alloc(BLOCK_BYTES);
      block.set(bytes.subarray(at, at + BLOCK_BYTES));
      hashes.push(hash(block));
    }
    return Buffer.concat(hashes);
  };
  const digestBytes = algorithm === "sha256" ? 32 : 64;
  let root: Buffer = level(content);
  while (root.length > digestBytes) root = level(root);
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, algorithm === "sha256" ? 1 : 2, 12, 0]);
  descriptor.writeBigUInt64LE(BigInt(content.length), 8);
  root.copy(descriptor, 16);
  return hash(descriptor).toString("hex");
}

/**
 * keepingOwner(): the files of a registry's folder for commands beside its server. Root works in a folder of the server's user: what
 * it replaces stays with its owner, and what it makes belongs to the owner of the folder that it is in, or the server could not use it.
 */
import type { Files, FileStat, Host } from "../host/host.ts";

/** The same files for everybody but root. Covers write(), replace() and makeDirectory(). */
export function keepingOwner({ files, user }: Pick<Host, "files" | "user">): Files {
  if (user.uid !== 0) return files;
  const give = (path: string, { uid, gid }: FileStat): void => {
    if (uid !== 0 || gid !== 0) files.chown(path, uid, gid);
  };
  const parentStat = (path: string): FileStat | undefined => files.stat(parentOf(path));
  const makeDirectory: Files["makeDirectory"] = (path, options) => {
    if (files.exists(path)) return files.makeDirectory(path, options);
    makeDirectory(parentOf(path));
    files.makeDirectory(path, options);
    const parent = parentStat(path);
    if (parent !== undefined) give(path, parent);
  };
  return {
    ...files,
    makeDirectory,
    write(path, content, options) {
      const isNew = !files.exists(path);
      files.write(path, content, options);
      const parent = isNew ? parentStat(path) : undefined;
      if (parent !== undefined) give(path, parent);
    },
    replace(path, content, options) {
      const owner = files.stat(path) ?? parentStat(path);
      files.replace(path, content, { ...options, ...(owner && { owner }) });
    },
  };
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, Math.max(1, slash));
}

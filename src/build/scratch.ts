/** Scratch: the directory of one running build, on the store's file system. What killed builds left behind is removed by the next one. */
import { cacheRoot } from "./build-cache.ts";
import type { Host, Mount } from "../host/host.ts";
import type { Store } from "../store/store.ts";

export interface Scratch extends Disposable {
  readonly path: string;
  readonly name: () => string;
  readonly newDirectory: () => string;
  /** In memory; made at the first use. */
  readonly secretDirectory: () => string;
}

export function openScratch(host: Host, store: Pick<Store, "path">): Scratch {
  const { files } = host;
  const root = `${cacheRoot(store)}/scratch`;
  files.makeDirectory(root, { mode: 0o700 });
  const directory = files.temporaryDirectory(`${root}/`);
  let count = 0;
  let secrets: Mount | undefined;
  const name = (): string => {
    count += 1;
    return String(count);
  };
  const newDirectory = (): string => {
    const path = `${directory.path}/${name()}`;
    files.makeDirectory(path);
    return path;
  };
  return {
    path: directory.path,
    name,
    newDirectory,
    secretDirectory() {
      secrets ??= host.mounts.tmpfs(newDirectory(), { mode: 0o700 });
      return secrets.target;
    },
    [Symbol.dispose]() {
      secrets?.unmount();
      directory[Symbol.dispose]();
    },
  };
}

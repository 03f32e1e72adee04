/**
 * Scratch: the directory of one running build, on the store's file system. It is locked while the build lives; what a killed build
 * left behind is removed by the next one.
 */
import { isFailure } from "../core/failure.ts";
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
  removeAbandonedScratch(host, store);
  const path = `${root}/${Buffer.from(host.random(8)).toString("hex")}`;
  const lock = files.lock(`${path}.lock`, "exclusive", { wait: true });
  files.makeDirectory(path, { mode: 0o700 });
  let count = 0;
  let secrets: Mount | undefined;
  const name = (): string => {
    count += 1;
    return String(count);
  };
  const newDirectory = (): string => {
    const directory = `${path}/${name()}`;
    files.makeDirectory(directory);
    return directory;
  };
  return {
    path,
    name,
    newDirectory,
    secretDirectory() {
      secrets ??= host.mounts.tmpfs(newDirectory(), { mode: 0o700 });
      return secrets.target;
    },
    [Symbol.dispose]() {
      secrets?.unmount();
      files.remove(path);
      files.remove(`${path}.lock`);
      lock.release();
    },
  };
}

/** What killed builds left behind; that of running ones stays. */
export function removeAbandonedScratch(host: Host, store: Pick<Store, "path">): void {
  const { files } = host;
  const root = `${cacheRoot(store)}/scratch`;
  for (const name of files.listIfAny(root)) {
    if (!name.endsWith(".lock")) continue;
    const path = `${root}/${name.slice(0, -".lock".length)}`;
    try {
      using _lock = files.lock(`${root}/${name}`, "exclusive", { wait: false });
      files.remove(path);
      files.remove(`${root}/${name}`);
    } catch (error) {
      if (!isFailure(error, "busy") && !isFailure(error, "not-found")) throw error;
    }
  }
}

/** Machine: a booted system opened for a change: its physical root, ESP and store. */
import type { Progress } from "../core/progress.ts";
import type { Host } from "../host/host.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { storePath } from "./layout.ts";
import { openSysroot, type Sysroot } from "./sysroot.ts";

export interface Machine {
  readonly host: Host;
  readonly sysroot: Omit<Sysroot, typeof Symbol.dispose>;
  readonly store: Store;
  readonly progress: Progress;
}

export interface OpenMachine extends Machine, Disposable {}

/** Failures as openSysroot(). `wait` waits for another command that changes the machine. */
export async function openMachine(
  host: Host,
  options: { access: "read" | "write"; wait?: boolean; progress: Progress },
): Promise<OpenMachine> {
  using resources = new DisposableStack();
  const sysroot = resources.use(await openSysroot(host, options));
  const store = resources.use(openStore(host, storePath(sysroot.path), { keepBlobs: false, access: "shared" }));
  const owned = resources.move();
  return { host, sysroot, store, progress: options.progress, [Symbol.dispose]: () => owned.dispose() };
}

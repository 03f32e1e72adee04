/**
 * Mounts of the fake host: recorded, and walked through. A bind shows the source's own inodes and a tmpfs is a new directory; for
 * the file systems whose content only a kernel can make (EROFS, overlay, ext4) the test says what is seen.
 */
import { systemFailure } from "./errors.ts";
import type { Inode } from "./fake-disk.ts";
import type { FakeMount, FakeWorld, Place } from "./fake-world.ts";
import { formatOverlayData } from "./linux-mounts.ts";
import type { Mount, MountInfo, Mounts } from "./host.ts";

/** What is mounted, as the test's `mountContent` sees it. */
export interface FakeMountRequest {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  /** Of an overlay, top first. */
  readonly lower: readonly string[];
  readonly upper: string | undefined;
  readonly data: string;
}

/** The directory of the fake disk that is seen on the target; undefined: an empty one. */
export type FakeMountContent = (request: FakeMountRequest) => string | undefined;

export function createFakeMounts(world: FakeWorld, content: FakeMountContent): Mounts {
  const add = (request: FakeMountRequest, readOnly: boolean, root: Inode | undefined): Mount => {
    const place = targetOf(world, request.target);
    world.mutate(`mount ${request.type}`, request.target, () => {
      world.mounts.push({
        id: Math.max(...world.mounts.map(({ id }) => id)) + 1,
        root: root ?? world.disk.create("directory"),
        parent: { mount: place.inodeMount, inode: place.inode },
        type: request.type,
        source: request.source,
        target: place.path,
        superOptions: request.data,
        readOnly,
        mounted: true,
      });
    });
    return handle(world, request.target);
  };
  const shown = (request: FakeMountRequest, readOnly: boolean): Mount => {
    const path = content(request);
    const root = path === undefined ? undefined : world.find("mount", path, { follow: true }).inode;
    return add(request, readOnly, root);
  };
  const plain = { lower: [], upper: undefined, data: "" };
  return {
    erofs: (image, target) => {
      world.find("mount erofs", image, { follow: true });
      return shown({ ...plain, type: "erofs", source: image, target }, true);
    },
    overlay: (options, target) => {
      for (const path of [...options.lower, ...(options.data ?? [])])
        world.find("mount overlay", path, { follow: true });
      const readOnly = options.readOnly ?? options.upper === undefined;
      const data = formatOverlayData(options);
      return shown(
        { type: "overlay", source: options.source, target, lower: options.lower, upper: options.upper, data },
        readOnly,
      );
    },
    bind: (source, target, options = {}) => {
      const { inode } = world.find("bind", source, { follow: true });
      return add({ ...plain, type: "bind", source, target }, options.readOnly ?? false, inode);
    },
    tmpfs: (target, options = {}) => {
      const root = world.disk.create("directory", { mode: options.mode ?? 0o755 });
      return add({ ...plain, type: "tmpfs", source: "tmpfs", target }, false, root);
    },
    mount: ({ type, source, target, data, readOnly }) =>
      shown({ ...plain, type, source, target, data: data ?? "" }, readOnly ?? false),
    remount: (target, access) => {
      const mount = topMount(world, "remount", target);
      world.mutate("remount", target, () => void (mount.readOnly = access === "read-only"));
    },
    isolate: () => world.enter(),
    list: () => {
      world.enter();
      return world.mounts.map(toMountInfo);
    },
    unmount: (target) => unmount(world, target),
  };
}

function targetOf(world: FakeWorld, target: string): Place & { readonly inode: Inode } {
  return world.find("mount on", target, { follow: true });
}

function topMount(world: FakeWorld, call: string, target: string): FakeMount {
  const { path } = world.find(call, target, { follow: true });
  const mount = world.mounts.findLast((each) => each.target === path);
  if (mount === undefined) throw systemFailure({ call, path: target }, "EINVAL");
  return mount;
}

function unmount(world: FakeWorld, target: string): void {
  const mount = topMount(world, "unmount", target);
  if (mount.id === 0 || world.mounts.some(({ parent }) => parent?.mount === mount)) {
    throw systemFailure({ call: "unmount", path: target }, "EBUSY");
  }
  world.mutate("unmount", target, () => {
    mount.mounted = false;
    world.mounts.splice(world.mounts.indexOf(mount), 1);
  });
}

function handle(world: FakeWorld, target: string): Mount {
  let mounted = true;
  const end = (): void => {
    if (!mounted) return;
    unmount(world, target);
    mounted = false;
  };
  return { target, unmount: end, [Symbol.dispose]: end };
}

function toMountInfo(mount: FakeMount): MountInfo {
  const options = mount.readOnly ? "ro,relatime" : "rw,relatime";
  const { source, target, type, superOptions } = mount;
  return { source, target, type, options, superOptions: superOptions === "" ? options.slice(0, 2) : superOptions };
}

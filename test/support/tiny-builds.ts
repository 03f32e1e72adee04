/**
 * Real builds: the program itself, crun, overlay mounts, a store of its own. The base is busybox and little else: no /proc, no
 * /etc/resolv.conf, so that mount points have to be made and must not stay.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { byteNameToText, collectBytes, textToByteName } from "../../src/core/bytes.ts";
import { readTar } from "../../src/format/tar/read.ts";
import { type TarInput, writeTar } from "../../src/format/tar/write.ts";
import { createLinuxHost } from "../../src/host/linux.ts";
import type { Host } from "../../src/host/host.ts";
import { openWorkstationStore } from "../../src/store/workstation.ts";
import type { Store, StoredImage } from "../../src/store/store.ts";
import { NO_XATTRS, type Stat } from "../../src/tree/node.ts";
import { assembleImage } from "../../src/build/assemble.ts";

export const scratch = mkdtempSync(path.join(tmpdir(), "berth-build-test-"));
export const storeRoot = path.join(scratch, "store");
const main = path.resolve(import.meta.dirname, "../../src/cli/main.ts");
const linux = createLinuxHost();
export const host: Host = { ...linux, env: { ...linux.env, BERTH_STORE: storeRoot } };

const APPLETS = [
  "sh",
  "cat",
  "chmod",
  "chown",
  "cp",
  "dd",
  "echo",
  "env",
  "find",
  "grep",
  "id",
  "ip",
  "ln",
  "ls",
  "mkdir",
  "mknod",
  "mv",
  "pwd",
  "rm",
  "sleep",
  "stat",
  "tar",
  "test",
  "touch",
  "true",
  "wget",
];

export function statOf(mode: number, more: Partial<Stat> = {}): Stat {
  return { mode, uid: 0, gid: 0, mtimeSec: 1_600_000_000, mtimeNsec: 0, xattrs: NO_XATTRS, ...more };
}

/** `localhost/tiny:1` in the store of these tests. */
export async function addBase(): Promise<void> {
  using store = openWorkstationStore(host);
  const busybox = readFileSync("/usr/bin/busybox");
  const file = (name: string, text: string | Buffer, stat: Stat): TarInput => {
    const content = Buffer.from(text);
    return { member: { kind: "file", path: textToByteName(name), stat, size: content.length }, content };
  };
  const directory = (name: string, mode = 0o755): TarInput => ({
    member: { kind: "directory", path: textToByteName(name), stat: statOf(mode) },
  });
  const attributed = statOf(0o644, { xattrs: new Map([["user.berth", Buffer.from("kept")]]) });
  const layer = await store.addLayer(
    writeTar([
      directory("bin"),
      file("bin/busybox", busybox, statOf(0o755)),
      ...APPLETS.map(
        (name): TarInput => ({
          member: {
            kind: "symlink",
            path: textToByteName(`bin/${name}`),
            stat: statOf(0o777),
            target: textToByteName("busybox"),
          },
        }),
      ),
      directory("data"),
      file("data/big", Buffer.alloc(100_000, "x"), statOf(0o644)),
      file("data/attributed", "a".repeat(200), attributed),
      directory("data/tree"),
      file("data/tree/a", "a".repeat(100), statOf(0o600)),
      file("data/tree/b", "b", statOf(0o644)),
      directory("etc"),
      file("etc/group", "root:x:0:\nweb:x:33:\n", statOf(0o644)),
      file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n", statOf(0o644)),
      directory("tmp", 0o1777),
    ]),
  );
  const image = store.saveImage(
    assembleImage({
      created: "2020-01-01T00:00:00Z",
      author: undefined,
      architecture: host.architecture,
      variant: undefined,
      config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh"], Labels: { base: "yes" } },
      layers: [layer],
      history: [{ created: "2020-01-01T00:00:00Z", created_by: "test" }],
      annotations: new Map(),
    }),
  );
  store.tag("localhost/tiny:1", image.digest);
}

export interface Built {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout. */
  readonly id: string;
}

let count = 0;

/** A context directory with these files. */
export function context(files: Readonly<Record<string, string | Buffer>>): string {
  count += 1;
  const directory = path.join(scratch, `context-${count}`);
  mkdirSync(directory);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), content);
    utimesSync(path.join(directory, name), 1_650_000_000, 1_650_000_000);
  }
  return directory;
}

export function berth(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Built {
  const result = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", main, ...args], {
    cwd: options.cwd ?? scratch,
    env: {
      ...process.env,
      BERTH_STORE: storeRoot,
      NODE_COMPILE_CACHE: path.join(scratch, "compile-cache"),
      ...options.env,
    },
    encoding: "utf8",
    ...(options.input !== undefined && { input: options.input }),
  });
  return { ...result, id: result.stdout.trim().split("\n").at(-1) ?? "" };
}

/** Builds and expects success. */
export function build(
  containerfile: string,
  files: Readonly<Record<string, string | Buffer>> = {},
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Built {
  const directory = context({ Containerfile: containerfile, ...files });
  const built = berth(["build", ...args, directory], { env });
  assert.equal(built.status, 0, built.stderr + built.stdout);
  return built;
}

export function withStore<T>(work: (store: Store) => T): T {
  using store = openWorkstationStore(host);
  return work(store);
}

export function imageOf(id: string): StoredImage {
  const image = withStore((store) => store.image(id));
  assert.ok(image !== undefined, `image ${id}`);
  return image;
}

export type Listing = Readonly<Record<string, string>>;

/** Members of the layers that a build put on its base: `path` → what it is. */
export async function newLayers(id: string, baseLayers = 1): Promise<Listing[]> {
  using store = openWorkstationStore(host);
  const image = store.image(id);
  const listings: Listing[] = [];
  for (const diffId of image?.config.rootfs.diff_ids.slice(baseLayers) ?? []) {
    const listing: Record<string, string> = {};
    for await (const { member, content } of readTar(store.readLayer(diffId))) {
      const bytes = await collectBytes(content);
      const what =
        member.kind === "file" ? (bytes.length > 60 ? `${bytes.length} bytes` : bytes.toString()) : member.kind;
      const target = member.kind === "symlink" || member.kind === "hardlink" ? ` ${member.target}` : "";
      listing[byteNameToText(member.path)] =
        `${member.stat.mode.toString(8)} ${member.stat.uid}:${member.stat.gid} ${what}${target}`;
    }
    listings.push(listing);
  }
  return listings;
}

export function removeScratch(): void {
  rmSync(scratch, { recursive: true, force: true });
}

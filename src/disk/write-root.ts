/**
 * writeRoot(): the root file system, from an empty ext4 to one whose every object has fs-verity. debugfs copies the contents while this
 * process computes the Merkle trees; then each tail goes to the blocks that debugfs has set aside for it.
 */
import { byteNameToBytes, byteNameToText } from "../core/bytes.ts";
import type { DigestAlgorithm } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import { VERITY_BLOCK_BYTES, verityHashBytes } from "../format/verity/verity.ts";
import type { Host } from "../host/host.ts";
import { type DiskLayout, ROOT_LABEL } from "./layout.ts";
import { type PlacedObject, populate } from "./populate.ts";
import { type RunOptions, runTool } from "./tools.ts";
import { verityTail } from "./verity-file.ts";

type Maker = Pick<Host, "exec" | "env" | "files" | "which" | "clock">;

export interface WriteRootOptions extends RunOptions {
  readonly layout: DiskLayout;
  /** The staged tree. */
  readonly tree: string;
  /** Directory of the repository's objects within it. */
  readonly objects: string;
  readonly algorithm: DigestAlgorithm;
  /** An empty folder. */
  readonly scratch: string;
  readonly progress: Progress;
}

/** Objects between two looks at the signal. */
const BATCH = 64;

/** Failure "corrupt" for an object whose bytes are not what its name says. */
export async function writeRoot(host: Maker, disk: string, options: WriteRootOptions): Promise<void> {
  await runTool(host, rootFormatArgv(disk, options.layout), options);
  const { commands, objects } = populate(host, { ...options, hashBytes: verityHashBytes(options.algorithm) });
  const script = `${options.scratch}/debugfs`;
  host.files.write(script, byteNameToBytes(`${commands.join("\n")}\n`));
  const [blocks, tails] = await Promise.all([
    runDebugfs(host, disk, { ...options, script }),
    computeTails(host, objects, options),
  ]);
  writeTails(host, disk, { layout: options.layout, blocks, tails });
}

export function rootFormatArgv(disk: string, layout: DiskLayout): readonly string[] {
  const { root } = layout;
  return [
    // metadata_csum_seed and orphan_file are unknown to older kernels and boot loaders; -m 0: only root writes here anyway.
    "mke2fs",
    "-q",
    "-t",
    "ext4",
    "-O",
    "verity,^metadata_csum_seed,^orphan_file",
    "-b",
    String(VERITY_BLOCK_BYTES),
    "-m",
    "0",
    "-L",
    ROOT_LABEL,
    "-U",
    root.uuid,
    "-E",
    `offset=${root.offsetBytes},lazy_itable_init=1,root_owner=0:0,hash_seed=${root.hashSeed}`,
    disk,
    `${root.sizeBytes / 1024}k`,
  ];
}

/** Returns the numbers that the script's bmap commands print. debugfs ends with 0 whatever happens: its stderr tells. */
async function runDebugfs(
  host: Maker,
  disk: string,
  options: { layout: DiskLayout; script: string } & RunOptions,
): Promise<readonly number[]> {
  const { stdout, stderr } = await runTool(
    host,
    ["debugfs", "-w", "-f", options.script, `${disk}?offset=${options.layout.root.offsetBytes}`],
    options,
  );
  const complaint = stderr.split("\n").find((line) => line.trim() !== "" && !/^debugfs [0-9.]+ \(/.test(line));
  if (complaint !== undefined) {
    throw new Failure(
      "exec-failed",
      `Cannot fill the root file system of "${byteNameToText(disk)}": debugfs says: ${complaint.trim()}`,
    );
  }
  return [...stdout.matchAll(/^(\d+)$/gm)].map(([, block]) => Number(block));
}

async function computeTails(
  host: Maker,
  objects: readonly PlacedObject[],
  options: WriteRootOptions,
): Promise<readonly Buffer[]> {
  const task = options.progress.task("Computing fs-verity", { total: objects.length, unit: "steps" });
  const tails: Buffer[] = [];
  for (const [index, object] of objects.entries()) {
    if (index % BATCH === 0) {
      await host.clock.sleep(0, options.signal);
      task.advance(Math.min(BATCH, objects.length - index));
    }
    const tail = verityTail(host.files.read(object.source), options.algorithm);
    if (tail.id !== object.id) {
      throw new Failure("corrupt", `Cannot put object "${object.id}" on a disk: its bytes are those of ${tail.id}`, {
        hint: "berth store fsck",
      });
    }
    tails.push(tail.bytes);
  }
  task.done();
  return tails;
}

function writeTails(
  host: Maker,
  disk: string,
  options: { layout: DiskLayout; blocks: readonly number[]; tails: readonly Buffer[] },
): void {
  const { blocks, tails } = options;
  const wanted = tails.reduce((sum, tail) => sum + tail.length / VERITY_BLOCK_BYTES, 0);
  if (blocks.length !== wanted) {
    throw new Failure(
      "exec-failed",
      `Cannot add fs-verity to "${byteNameToText(disk)}": debugfs set ${blocks.length} blocks aside, wanted ${wanted}`,
    );
  }
  using file = host.files.open(disk, "read-write");
  let next = 0;
  for (const tail of tails) {
    for (let at = 0; at < tail.length; at += VERITY_BLOCK_BYTES) {
      const block = blocks[next++] ?? 0;
      file.write(
        tail.subarray(at, at + VERITY_BLOCK_BYTES),
        options.layout.root.offsetBytes + block * VERITY_BLOCK_BYTES,
      );
    }
  }
}

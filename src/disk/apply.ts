/**
 * applyDiskPlan(): carries out the steps of a plan in a work directory beside the result. The result appears under its name whole and
 * synced, or not at all.
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import type { InstalledDeployment } from "../deploy/install.ts";
import { MACHINE_STORE } from "../store/paths.ts";
import type { Host } from "../host/host.ts";
import { lockAlone } from "../host/lock-alone.ts";
import { requireSpace } from "../store/space.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { describeStep } from "./format-plan.ts";
import { mkimageArgv, placeBiosLoader } from "./grub-bios.ts";
import { GRUB_MODULE_DIRECTORY } from "./image-facts.ts";
import { writeMachineState } from "./machine-state.ts";
import { type DiskPlan, diskName, type DiskStep } from "./plan.ts";
import type { DiskRequest, DiskType } from "./request.ts";
import { stageDeployment, stageGrubModules, stageRepository, stageUefiLoader } from "./stage.ts";
import type { DiskLayout } from "./layout.ts";
import { type RunOptions, runTool } from "./tools.ts";
import { createRawDisk, writeEsp, writePieces } from "./write-disk.ts";
import { writeRoot } from "./write-root.ts";

export interface ApplyOptions {
  readonly store: Store;
  readonly image: StoredImage;
  readonly request: DiskRequest;
  readonly shell: string;
  /** Folder of the result; made when missing. */
  readonly output: string;
  /** A disk of this name may be there already. */
  readonly replace: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface DiskResult {
  readonly path: string;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
}

/** Failure "already-exists" for a disk that would be replaced. */
export function requireFreeName(host: Pick<Host, "files">, output: string, type: DiskType): void {
  const path = `${output}/${diskName(type)}`;
  if (!host.files.exists(path)) return;
  throw new Failure("already-exists", `Cannot write disk "${byteNameToText(path)}": it exists`, {
    hint: "--force replaces it",
  });
}

/** Failure "no-space" before anything is written, "busy" while another disk is made in the same folder, "already-exists". */
export async function applyDiskPlan(host: Host, plan: DiskPlan, options: ApplyOptions): Promise<DiskResult> {
  const storeDirectory = options.store.path.slice(0, options.store.path.lastIndexOf("/"));
  requireSpace(
    host,
    options.output,
    plan.outputBytes,
    "make a disk",
    "free some space there, or name another folder with -o",
  );
  requireSpace(host, storeDirectory, plan.stagingBytes, "make a disk");
  host.files.makeDirectory(options.output);
  // Two runs into one folder would both succeed, and the later would replace what the earlier has made.
  using _lock = lockAlone(
    host.files,
    options.output,
    `Cannot write a disk to "${byteNameToText(options.output)}": another one is being made there`,
    "wait until it is made, or name another folder with -o",
  );
  // Once more: one may have been made since the request was checked.
  if (!options.replace) requireFreeName(host, options.output, options.request.type);

  // Staged beside the store, where objects can be linked; the disk grows beside its final name, where it can be renamed.
  using staging = host.files.temporaryDirectory(`${storeDirectory}/disk-`);
  using work = host.files.temporaryDirectory(`${options.output}/.berth-disk-`);
  const bench = createBench(host, plan, { ...options, staging: staging.path, work: work.path });
  for (const step of plan.steps) {
    options.signal.throwIfAborted();
    await bench.run(step);
  }
  return bench.result();
}

interface Bench {
  run(step: DiskStep): Promise<void>;
  result(): DiskResult;
}

function createBench(host: Host, plan: DiskPlan, options: ApplyOptions & { staging: string; work: string }): Bench {
  const { staging, work, store, image, progress, signal } = options;
  const { layout, epoch, id } = plan;
  const folders = { root: `${staging}/root`, esp: `${staging}/esp` };
  const raw = `${work}/disk.raw`;
  const tools = { layout, epoch, signal };
  const rootOptions = {
    ...tools,
    tree: folders.root,
    objects: `/${MACHINE_STORE}/objects`,
    algorithm: store.algorithm,
    scratch: `${staging}/scratch`,
    progress,
  };
  const staged = { store, image, id, signal };
  let deployment: InstalledDeployment | undefined;
  let current = raw;
  let result: DiskResult | undefined;

  const told = async (step: DiskStep, work: () => Promise<void> | void): Promise<void> => {
    const task = progress.task(describeStep(step));
    await work();
    task.done();
  };

  return {
    async run(step) {
      switch (step.kind) {
        case "stage-repository":
          return stageRepository(host, folders.root, { ...staged, progress, objectCount: plan.objectCount });
        case "install-deployment": {
          const { source, architecture } = plan;
          deployment = stageDeployment(host, folders, { ...staged, ...step, source, architecture });
          return;
        }
        case "write-machine-state":
          if (deployment === undefined) throw new RangeError("a plan writes machine state before a deployment");
          return writeMachineState(host.files, { ...deployment, shell: options.shell }, options.request);
        case "stage-uefi-loader":
          return stageUefiLoader(host, folders.esp, { store, id, loader: step.loader });
        case "create-disk":
          return createRawDisk(host, raw, layout);
        case "write-esp":
          return told(step, () => writeEsp(host, raw, { ...tools, tree: folders.esp, scratch: staging }));
        case "write-root":
          host.files.makeDirectory(rootOptions.scratch);
          return told(step, () => writeRoot(host, raw, rootOptions));
        case "write-bios-loader": {
          const modules =
            step.grub.origin === "image"
              ? stageGrubModules(host, `${staging}/grub`, { store, id })
              : `/${GRUB_MODULE_DIRECTORY}`;
          return writeBiosLoader(host, raw, { ...tools, ...step, modules, core: `${staging}/core.img` });
        }
        case "convert":
          current = `${work}/disk.${step.format}`;
          return told(step, async () => {
            await runTool(host, convertArgv(raw, current), tools);
          });
        case "publish":
          result = publish(host, current, { output: options.output, name: step.name, sizeBytes: layout.sizeBytes });
          return;
      }
    },
    result() {
      if (result === undefined) throw new RangeError("a plan ended without publishing a disk");
      return result;
    },
  };
}

/** GRUB's core image, made for this disk, and its boot sector. */
async function writeBiosLoader(
  host: Host,
  disk: string,
  options: RunOptions & { layout: DiskLayout; modules: string; core: string; partition: number; directory: string },
): Promise<void> {
  const { modules, core, partition, directory } = options;
  await runTool(host, mkimageArgv({ modules, partition, directory, output: core }), options);
  const loader = { bootImage: host.files.read(`${modules}/boot.img`), coreImage: host.files.read(core) };
  writePieces(host, disk, placeBiosLoader(loader, options.layout.biosBoot));
}

/** Under its name whole and synced, or not at all. */
function publish(host: Host, from: string, options: { output: string; name: string; sizeBytes: number }): DiskResult {
  const path = `${options.output}/${options.name}`;
  host.files.sync(from);
  host.files.rename(from, path);
  host.files.sync(options.output);
  return { path, sizeBytes: options.sizeBytes, allocatedBytes: host.files.stat(path)?.allocatedBytes ?? 0 };
}

/** zstd makes the smallest file for its time; every QEMU since 5.1 reads it. */
function convertArgv(raw: string, target: string): readonly string[] {
  return [
    "qemu-img",
    "convert",
    "-f",
    "raw",
    "-O",
    "qcow2",
    "-c",
    "-o",
    "compression_type=zstd",
    "-W",
    "-m",
    "8",
    raw,
    target,
  ];
}

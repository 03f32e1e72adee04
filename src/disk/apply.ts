/**
 * applyDiskPlan(): carries out the steps of a plan in a work directory beside the result. The result appears under its name whole and
 * synced, or not at all.
 */
import { Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import type { InstalledDeployment } from "../deploy/install.ts";
import { storePath } from "../deploy/layout.ts";
import { MACHINE_STORE } from "../store/paths.ts";
import type { Host } from "../host/host.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { describeStep } from "./format-plan.ts";
import { mkimageArgv, placeBiosLoader } from "./grub-bios.ts";
import { GRUB_MODULE_DIRECTORY } from "./image-facts.ts";
import { writeMachineState } from "./machine-state.ts";
import { type DiskPlan, type DiskStep, gigabytes } from "./plan.ts";
import type { DiskRequest } from "./request.ts";
import { settleCommands, settleEsp } from "./settle.ts";
import { stageDeployment, stageGrubModules, stageRepository, stageUefiLoader } from "./stage.ts";
import { stageVerity } from "./stage-verity.ts";
import { runTool } from "./tools.ts";
import { type VerityFile, verityCommands } from "./verity-file.ts";
import { createRawDisk, runDebugfs, writeEsp, writePieces, writeRoot } from "./write-disk.ts";

export interface ApplyOptions {
  readonly store: Store;
  readonly image: StoredImage;
  readonly request: DiskRequest;
  readonly shell: string;
  /** Folder of the result; made when missing. */
  readonly output: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface DiskResult {
  readonly path: string;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
}

/** Failure "no-space" before anything is written. */
export async function applyDiskPlan(host: Host, plan: DiskPlan, options: ApplyOptions): Promise<DiskResult> {
  host.files.makeDirectory(options.output);
  const { freeBytes } = host.files.space(options.output);
  if (freeBytes < plan.spaceBytes) {
    throw new Failure("no-space", `Cannot make a disk in "${options.output}": ${gigabytes(freeBytes)} are free, wanted ${gigabytes(plan.spaceBytes)}`);
  }
  using work = host.files.temporaryDirectory(`${options.output}/.berth-disk-`);
  const bench = createBench(host, plan, { ...options, work: work.path });
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

function createBench(host: Host, plan: DiskPlan, options: ApplyOptions & { work: string }): Bench {
  const { work, store, image, progress, signal } = options;
  const { layout, epoch, id } = plan;
  const folders = { root: `${work}/root`, esp: `${work}/esp` };
  const raw = `${work}/disk.raw`;
  const tools = { layout, epoch, signal };
  let deployment: InstalledDeployment | undefined;
  let verityFiles: readonly VerityFile[] = [];
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
          return stageRepository(host, folders.root, { store, image, id, progress, signal, objectCount: plan.objectCount });
        case "install-deployment":
          deployment = stageDeployment(host, folders, { store, image, id, signal, ...step, source: plan.source, architecture: plan.architecture });
          return;
        case "write-machine-state":
          if (deployment === undefined) throw new RangeError("a plan writes machine state before a deployment");
          return writeMachineState(host.files, { etc: deployment.etc, var: deployment.var, shell: options.shell }, options.request);
        case "stage-uefi-loader":
          return stageUefiLoader(host, folders.esp, { store, id, loader: step.loader });
        case "stage-verity":
          verityFiles = await stageVerity(host, { repository: storePath(folders.root), mountedAt: `/${MACHINE_STORE}`, algorithm: store.algorithm, progress, signal });
          return;
        case "create-disk":
          return createRawDisk(host, raw, layout);
        case "write-esp":
          settleEsp(host, { tree: folders.esp, epoch });
          return told(step, () => writeEsp(host, raw, { ...tools, tree: folders.esp }));
        case "write-root":
          return told(step, async () => {
            await writeRoot(host, raw, { ...tools, tree: folders.root });
            const commands = [...verityFiles.flatMap(verityCommands), ...settleCommands(host, { tree: folders.root, epoch })];
            host.files.write(`${work}/debugfs`, `${commands.join("\n")}\n`);
            await runDebugfs(host, raw, { ...tools, script: `${work}/debugfs` });
          });
        case "write-bios-loader": {
          const modules = step.grub.origin === "image" ? stageGrubModules(host, `${work}/grub`, { store, id }) : `/${GRUB_MODULE_DIRECTORY}`;
          const core = `${work}/core.img`;
          await runTool(host, mkimageArgv({ modules, partition: step.partition, directory: step.directory, output: core }), tools);
          const loader = { bootImage: host.files.read(`${modules}/boot.img`), coreImage: host.files.read(core) };
          return writePieces(host, raw, placeBiosLoader(loader, layout.biosBoot));
        }
        case "convert":
          current = `${work}/disk.${step.format}`;
          return told(step, async () => {
            await runTool(host, convertArgv(raw, current), tools);
          });
        case "publish": {
          const path = `${options.output}/${step.name}`;
          host.files.sync(current);
          host.files.rename(current, path);
          host.files.sync(options.output);
          result = { path, sizeBytes: layout.sizeBytes, allocatedBytes: host.files.stat(path)?.allocatedBytes ?? 0 };
          return;
        }
      }
    },
    result() {
      if (result === undefined) throw new RangeError("a plan ended without publishing a disk");
      return result;
    },
  };
}

/** zstd makes the smallest file for its time; every QEMU since 5.1 reads it. */
function convertArgv(raw: string, target: string): readonly string[] {
  return ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", "-W", "-m", "8", raw, target];
}

/**
 * Upgrade and switch: ask the registry, decide, fetch, stage. checkUpdate() answers `--check` and changes nothing; update() does it.
 */
import { Failure } from "../core/failure.ts";
import { cleanUp, collectGarbage } from "./cleanup.ts";
import { type Deployments, readDeployments } from "./deployments.ts";
import type { ImageSource, OfferedImage } from "./image-source.ts";
import { diffLayers, type FetchPlan, type LayerDiff } from "./layer-diff.ts";
import { originPath } from "./layout.ts";
import type { Machine } from "./machine.ts";
import { formatImageSpec, formatOrigin, formatTransport, type ImageSpec, type Origin } from "./origin.ts";
import { applyStage, armFinalize, planStage } from "./stage.ts";
import { writeStaged } from "./staged-file.ts";
import {
  diffLines,
  fetchedLine,
  formatSeconds,
  formatSize,
  neededLine,
  fetchLines,
  versionLines,
  wayLines,
} from "./update-texts.ts";
import { formatImageRef, parseImageRef } from "../oci/reference.ts";
import type { StoredImage } from "../store/store.ts";

export interface UpdateRequest {
  /** What is to be followed. */
  readonly spec: ImageSpec;
  /** Stage it, but let the shutdown pass it by. */
  readonly downloadOnly: boolean;
  readonly signal: AbortSignal;
  /** One line of output. */
  readonly print: (line: string) => void;
}

export interface UpdateResult {
  /**
   * staged: queued for the next boot. already-staged: it was. current: the running deployment is it. followed: same content, so only
   * the origin was changed. available, none: answers of a check.
   */
  readonly kind: "staged" | "already-staged" | "current" | "followed" | "available" | "none";
  readonly image: string;
  readonly digest: string;
  readonly fetchedBytes: number;
  /** What an update would fetch, and how: the answer of a check. */
  readonly plan?: FetchPlan;
}

/** What this machine follows: the staged image's reference, else the booted one's. Failure "not-found" when nothing says so. */
export function followedImage(machine: Pick<Machine, "host" | "sysroot">): ImageSpec {
  const { staged, bootedId, origins } = readDeployments(machine.host.files, machine.sysroot);
  const origin = origins.get(staged?.id ?? bootedId);
  if (origin === undefined) {
    throw new Failure("not-found", "No image source specified", { hint: "name one with `berth switch HOST/NAME:TAG`" });
  }
  return origin.image;
}

/** The same image by another tag; a digest is dropped. Failure "bad-input" for a bad tag. */
export function retag(spec: ImageSpec, tag: string): ImageSpec {
  try {
    const { host, path } = parseImageRef(spec.image);
    return { ...spec, image: formatImageRef(parseImageRef(`${host}/${path}:${tag}`)) };
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new Failure("bad-input", `Cannot use tag "${tag}": ${error.message}`, { cause: error });
    throw error;
  }
}

/** What `switch` answers when `spec` is followed already. */
export function followsAlready(machine: Pick<Machine, "host" | "sysroot">, spec: ImageSpec): UpdateResult | undefined {
  const { staged, bootedId, origins } = readDeployments(machine.host.files, machine.sysroot);
  const origin = origins.get(staged?.id ?? bootedId);
  if (origin === undefined || formatImageSpec(origin.image) !== formatImageSpec(spec)) return undefined;
  const kind = staged === undefined ? "current" : "already-staged";
  return { kind, image: formatImageSpec(spec), digest: origin.manifestDigest ?? "", fetchedBytes: 0 };
}

/** `--from-downloaded`. Failure "not-found" when nothing is staged. */
export async function unlockStaged(machine: Machine, print: (line: string) => void): Promise<UpdateResult> {
  const { staged, origins } = readDeployments(machine.host.files, machine.sysroot);
  if (staged === undefined)
    throw new Failure("not-found", "No staged deployment found", {
      hint: "fetch one with `berth upgrade --download-only`",
    });
  await armFinalize(machine);
  if (staged.locked) writeStaged(machine.host.files, { id: staged.id, locked: false });
  print(
    staged.locked
      ? "Staged deployment will now be applied on reboot"
      : "Staged deployment is already set to apply on reboot",
  );
  const origin = origins.get(staged.id);
  return {
    kind: "already-staged",
    image: origin === undefined ? "" : formatImageSpec(origin.image),
    digest: origin?.manifestDigest ?? "",
    fetchedBytes: 0,
  };
}

/** What the registry has now, compared with this machine. */
export async function checkUpdate(
  machine: Machine,
  source: ImageSource,
  request: Omit<UpdateRequest, "downloadOnly">,
): Promise<UpdateResult> {
  const deployments = readDeployments(machine.host.files, machine.sysroot);
  const offered = await offer(machine, source, request);
  const result = { image: formatImageSpec(request.spec), digest: offered.digest, fetchedBytes: 0 };
  const known = [...deployments.origins.values()].some((origin) => origin.manifestDigest === offered.digest);
  if (known) {
    request.print(`No changes in: ${formatTransport(request.spec)}`);
    return { ...result, kind: "none" };
  }
  const plan = await source.plan(offered, { store: machine.store, signal: request.signal });
  const lines = [
    `Update available for: ${formatTransport(request.spec)}`,
    ...versionLines(offered),
    ...diffLines(layerDiff(machine, deployments, offered)),
    ...fetchLines(plan),
  ];
  request.print(lines.join("\n"));
  return { ...result, kind: "available", plan };
}

/** Failures: "network", "unauthorized", "bad-input", "conflict", "no-space", ...: what runs and what is staged stay as they were. */
export async function update(machine: Machine, source: ImageSource, request: UpdateRequest): Promise<UpdateResult> {
  const { print } = request;
  const deployments = cleanUp(machine, { keepStaged: true });
  const offered = await offer(machine, source, request);
  const result = { image: formatImageSpec(request.spec), digest: offered.digest, fetchedBytes: 0 };
  const answer = decideUpdate(deployments, offered, request.spec);
  if (answer === "already-staged" && deployments.staged !== undefined) {
    await relock(machine, deployments.staged, request);
    return { ...result, kind: "already-staged" };
  }
  if (answer === "current") {
    print(`No changes in: ${formatTransport(request.spec)}`);
    if (deployments.staged !== undefined) {
      cleanUp(machine, { keepStaged: false });
      print(
        `Dropped staged image: ${formatImageSpec(deployments.origins.get(deployments.staged.id)?.image ?? request.spec)}`,
      );
    }
    collectGarbage(machine, { onlyWhenDropped: true });
    return { ...result, kind: "current" };
  }
  const { stored, fetchedBytes } = await fetchImage(machine, source, { request, offered, deployments });
  return { ...result, fetchedBytes, kind: await stageImage(machine, { request, offered, stored, deployments }) };
}

/** What an update to `offered` comes to. Pure. */
export function decideUpdate(
  deployments: Deployments,
  offered: Pick<OfferedImage, "digest">,
  spec: ImageSpec,
): "already-staged" | "current" | "stage" {
  const { staged, bootedId, origins } = deployments;
  const follows = (origin: Origin | undefined): boolean =>
    origin?.manifestDigest === offered.digest && formatImageSpec(origin.image) === formatImageSpec(spec);
  if (staged !== undefined && follows(origins.get(staged.id))) return "already-staged";
  return follows(origins.get(bootedId)) ? "current" : "stage";
}

interface Fetching {
  readonly request: UpdateRequest;
  readonly offered: OfferedImage;
  readonly deployments: Deployments;
}

async function fetchImage(
  machine: Machine,
  source: ImageSource,
  fetching: Fetching,
): Promise<{ stored: StoredImage; fetchedBytes: number }> {
  const { request, offered } = fetching;
  const { store, host, progress } = machine;
  const plan = await source.plan(offered, { store, signal: request.signal });
  const present = plan.needed.count === 0 ? store.image(offered.digest) : undefined;
  if (present !== undefined) {
    request.print(`No changes in ${formatImageSpec(request.spec)} => ${offered.digest}`);
    return { stored: present, fetchedBytes: 0 };
  }
  checkSpace(machine, plan, formatImageSpec(request.spec));
  request.print(neededLine(plan));
  for (const line of wayLines(plan)) request.print(line);
  const startedMs = host.clock.elapsed();
  const fetched = await source.fetch(request.spec.image, offered, { store, progress, signal: request.signal });
  request.print(fetchedLine(fetched.bytes, host.clock.elapsed() - startedMs));
  return { stored: fetched.image, fetchedBytes: fetched.bytes };
}

async function stageImage(
  machine: Machine,
  staging: Fetching & { readonly stored: StoredImage },
): Promise<"staged" | "followed"> {
  const { request, offered, stored, deployments } = staging;
  const { host, progress, sysroot } = machine;
  const startedMs = host.clock.elapsed();
  const diff = layerDiff(machine, deployments, offered);
  const task = progress.task("Deploying", { passing: true });
  const plan = planStage(machine, deployments, { image: stored, spec: request.spec, locked: request.downloadOnly });
  if (plan.kind === "booted") {
    host.files.replace(originPath(sysroot.path, plan.id), formatOrigin(plan.origin), { mode: 0o644 });
    cleanUp(machine, { keepStaged: false });
    task.done();
    collectGarbage(machine);
    request.print(
      `Image content is unchanged; this system now follows ${formatImageSpec(request.spec)} at ${offered.digest}`,
    );
    return "followed";
  }
  await applyStage(machine, plan);
  task.done();
  request.print(`Deploying: done (${formatSeconds(host.clock.elapsed() - startedMs)})`);
  collectGarbage(machine);
  const headline = request.downloadOnly
    ? "Image downloaded, but will not be applied on reboot"
    : `Queued for next boot: ${formatImageSpec(request.spec)}`;
  request.print([headline, ...versionLines(offered), ...diffLines(diff)].join("\n"));
  return "staged";
}

/** Failures: of the source, "unsupported" transport, "bad-input" for another architecture. */
export async function offer(
  machine: Machine,
  source: ImageSource,
  request: Pick<UpdateRequest, "spec" | "signal">,
): Promise<OfferedImage> {
  const { spec } = request;
  if (spec.transport !== "registry") {
    throw new Failure(
      "unsupported",
      `Cannot fetch "${formatImageSpec(spec)}": transport "${spec.transport}" is not supported here, wanted registry`,
    );
  }
  const offered = await source.offer(spec.image, { store: machine.store, signal: request.signal });
  const { architecture } = offered.config;
  if (architecture !== machine.host.architecture) {
    throw new Failure("bad-input", `Image has architecture ${architecture}; expected ${machine.host.architecture}`);
  }
  if (offered.config.config.Labels?.["containers.bootc"] === undefined) {
    machine.progress.warn("notice: Image is missing label: containers.bootc");
  }
  return offered;
}

async function relock(
  machine: Machine,
  staged: { id: string; locked: boolean },
  request: UpdateRequest,
): Promise<void> {
  await armFinalize(machine);
  request.print("Staged update present, not changed");
  if (staged.locked === request.downloadOnly) return;
  writeStaged(machine.host.files, { id: staged.id, locked: request.downloadOnly });
  request.print(
    request.downloadOnly
      ? "Image downloaded, but will not be applied on reboot"
      : "Staged deployment will now be applied on reboot",
  );
}

function layerDiff(machine: Machine, deployments: Deployments, offered: OfferedImage): LayerDiff {
  const digest = deployments.origins.get(deployments.bootedId)?.manifestDigest;
  const booted = digest === undefined ? undefined : machine.store.image(digest);
  return diffLayers(booted?.manifest, offered.manifest);
}

/** State directory, EROFS image and the file system's own needs. */
const SPACE_MARGIN_BYTES = 32 * 1024 * 1024;

/** Bytes that must be free on the physical root before a download begins. */
export function spaceNeededBytes(plan: FetchPlan): number {
  return plan.spaceBytes + SPACE_MARGIN_BYTES;
}

/** Before anything is downloaded; garbage is freed when it would help. */
function checkSpace(machine: Machine, plan: FetchPlan, image: string): void {
  const { files } = machine.host;
  const required = spaceNeededBytes(plan);
  if (files.space(machine.sysroot.path).freeBytes >= required) return;
  collectGarbage(machine);
  const { freeBytes } = files.space(machine.sysroot.path);
  if (freeBytes >= required) return;
  throw new Failure(
    "no-space",
    `Insufficient free space for ${image} (available: ${formatSize(freeBytes)} required: ${formatSize(required)})`,
    {
      hint: "free some space below /var, or enlarge the root file system",
    },
  );
}

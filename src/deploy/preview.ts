/** What upgrade, switch and rollback would do, for --dry-run. It reads the machine and asks the registry; it changes nothing. */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { type Deployments, readDeployments } from "./deployments.ts";
import type { ImageSource } from "./image-source.ts";
import type { FetchPlan } from "./layer-diff.ts";
import type { Machine } from "./machine.ts";
import { formatImageSpec, formatTransport } from "./origin.ts";
import type { RollbackPlan } from "./rollback.ts";
import { decideUpdate, offer, spaceNeededBytes, type UpdateRequest } from "./update.ts";
import { fetchLines, formatSize, versionLines } from "./update-texts.ts";

export interface UpdatePreview {
  /** would-stage: queue it for the next boot, after fetching what is missing. none: it runs, or it is staged already. */
  readonly kind: "would-stage" | "would-unlock" | "none";
  readonly image: string;
  readonly digest: string;
  /** Still to come over the network. */
  readonly fetchBytes: number;
  readonly plan?: FetchPlan;
}

/** Failures as update() up to the download; too little space is told in a line. */
export async function previewUpdate(
  machine: Machine,
  source: ImageSource,
  request: Omit<UpdateRequest, "downloadOnly">,
): Promise<UpdatePreview> {
  const { host, store, sysroot } = machine;
  const deployments = readDeployments(host.files, sysroot);
  const offered = await offer(machine, source, request);
  const result = { image: formatImageSpec(request.spec), digest: offered.digest, fetchBytes: 0 };
  const answer = decideUpdate(deployments, offered, request.spec);
  if (answer !== "stage") {
    request.print(
      answer === "current" ? `No changes in: ${formatTransport(request.spec)}` : "Staged update present, not changed",
    );
    if (answer === "current" && deployments.staged !== undefined)
      request.print(`Would drop staged image: ${nameOf(deployments, deployments.staged.id)}`);
    request.print(NOTHING_CHANGED);
    return { ...result, kind: "none" };
  }
  const plan = await source.plan(offered, { store, signal: request.signal });
  const { freeBytes } = host.files.space(sysroot.path);
  const needed = spaceNeededBytes(plan);
  const lines = [
    `Would queue for next boot: ${result.image}`,
    ...versionLines(offered),
    ...fetchLines(plan),
    `Space needed: ${formatSize(needed)}, available: ${formatSize(freeBytes)}${freeBytes < needed ? " (too little, unless unused objects can be freed)" : ""}`,
    `Would be kept for a rollback: ${nameOf(deployments, deployments.bootedId)}`,
    ...dropped(deployments, offered.digest).map((name) => `Would drop: ${name}`),
    NOTHING_CHANGED,
  ];
  request.print(lines.join("\n"));
  return { ...result, kind: "would-stage", fetchBytes: plan.bytes, plan };
}

/** `--from-downloaded`. Failure "not-found" when nothing is staged. */
export function previewUnlock(
  machine: Pick<Machine, "host" | "sysroot">,
  print: (line: string) => void,
): UpdatePreview {
  const deployments = readDeployments(machine.host.files, machine.sysroot);
  const { staged, origins } = deployments;
  if (staged === undefined) throw new Failure("not-found", "No staged deployment found");
  print(
    staged.locked
      ? `Would apply staged image on reboot: ${nameOf(deployments, staged.id)}`
      : "Staged deployment is already set to apply on reboot",
  );
  print(NOTHING_CHANGED);
  const origin = origins.get(staged.id);
  return {
    kind: staged.locked ? "would-unlock" : "none",
    image: origin === undefined ? "" : formatImageSpec(origin.image),
    digest: origin?.manifestDigest ?? "",
    fetchBytes: 0,
  };
}

export function previewRollback(deployments: Deployments, plan: RollbackPlan): string {
  const first = plan.menu[0];
  return [
    `Would boot next: ${plan.next} deployment${first === undefined ? "" : `, ${nameOf(deployments, first.id)}`}`,
    ...(deployments.staged === undefined ? [] : [`Would drop: ${nameOf(deployments, deployments.staged.id)} (staged)`]),
    NOTHING_CHANGED,
  ].join("\n");
}

const NOTHING_CHANGED = "Nothing was changed";

/** What the image `next` takes the place of, now or at the shutdown; a rollback deployment may be the very same. */
function dropped(deployments: Deployments, next: Digest): string[] {
  const { staged, rollback, origins } = deployments;
  const goes = rollback !== undefined && origins.get(rollback.id)?.manifestDigest !== next;
  return [
    ...(staged === undefined ? [] : [`${nameOf(deployments, staged.id)} (staged)`]),
    ...(goes ? [`${nameOf(deployments, rollback.id)} (rollback, at the reboot)`] : []),
  ];
}

function nameOf(deployments: Deployments, id: string): string {
  const origin = deployments.origins.get(id);
  if (origin === undefined) return id;
  const digest = origin.manifestDigest === undefined ? "" : ` at ${origin.manifestDigest}`;
  return `${formatImageSpec(origin.image)}${digest}`;
}

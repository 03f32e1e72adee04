/** createStatus(): the host object from what was read. Pure. */
import { type ImageConfig, imageTimestamp, imageVersion } from "../oci/config.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Deployments } from "./deployments.ts";
import {
  type BootEntry,
  type Bootloader,
  EMPTY_HOST,
  type HostObject,
  type ImageStatus,
  type UsrOverlay,
} from "./host-object.ts";
import type { MenuEntry } from "./menu.ts";
import type { Origin } from "./origin.ts";

export interface StatusInputs {
  readonly deployments: Deployments;
  /** Manifest and config of a deployment, when the store has them. */
  readonly imageOf: (origin: Origin) => { readonly manifest: Manifest; readonly config: ImageConfig } | undefined;
  readonly bootloader: Bootloader;
  readonly usrOverlay: UsrOverlay | undefined;
  readonly readOnly: boolean;
  /** OCI architecture of this machine: every deployment that boots has it. */
  readonly architecture: string;
}

export function createStatus(inputs: StatusInputs): HostObject {
  const { deployments } = inputs;
  const { staged, booted, rollback } = deployments;
  const boot = (entry: MenuEntry | undefined, downloadOnly = false): BootEntry | null =>
    entry === undefined ? null : createBootEntry(entry, downloadOnly, inputs);
  const others = deployments.menu.entries.filter(
    (entry) => deployments.origins.has(entry.id) && entry.id !== booted?.id && entry.id !== rollback?.id,
  );
  const followed = deployments.origins.get(staged?.id ?? booted?.id ?? "")?.image;
  return {
    ...EMPTY_HOST,
    spec: {
      image: followed === undefined ? null : { image: followed.image, transport: followed.transport },
      bootOrder: deployments.rollbackQueued ? "rollback" : "default",
    },
    status: {
      staged: boot(staged?.entry, staged?.locked),
      booted: boot(booted),
      rollback: boot(rollback),
      ...(others.length > 0 && { otherDeployments: others.map((entry) => createBootEntry(entry, false, inputs)) }),
      rollbackQueued: deployments.rollbackQueued,
      type: booted === undefined ? null : "bootcHost",
      usrOverlay: inputs.usrOverlay ?? null,
      readOnly: inputs.readOnly,
    },
  };
}

/** `--booted`: the other slots emptied. */
export function onlyBooted(host: HostObject): HostObject {
  return { ...host, status: { ...host.status, staged: null, rollback: null } };
}

function createBootEntry(entry: MenuEntry, downloadOnly: boolean, inputs: StatusInputs): BootEntry {
  const origin = inputs.deployments.origins.get(entry.id);
  return {
    image: origin === undefined ? null : createImageStatus(origin, inputs),
    cachedUpdate: null,
    incompatible: false,
    pinned: false,
    softRebootCapable: false,
    downloadOnly,
    store: null,
    ostree: null,
    composefs: {
      verity: entry.id,
      bootType: entry.named.entry.linux === undefined ? "Uki" : "Bls",
      bootloader: inputs.bootloader,
      bootDigest: origin?.bootDigest ?? null,
      missingVerityAllowed: entry.verityOptional,
    },
  };
}

function createImageStatus(origin: Origin, inputs: StatusInputs): ImageStatus | null {
  if (origin.manifestDigest === undefined) return null;
  const found = inputs.imageOf(origin);
  const timestamp = found && imageTimestamp(found.config);
  const version =
    found && (imageVersion(found.config) ?? found.manifest.annotations?.["org.opencontainers.image.version"]);
  return {
    image: { image: origin.image.image, transport: origin.image.transport },
    version: version ?? null,
    timestamp: timestamp === undefined ? null : normalizeTimestamp(timestamp),
    imageDigest: origin.manifestDigest,
    architecture: found?.config.architecture ?? inputs.architecture,
  };
}

/** RFC 3339 in UTC with the fraction kept to the digit; null when it is no timestamp. */
function normalizeTimestamp(text: string): string | null {
  const match = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.exec(text);
  const time = match === null ? Number.NaN : Date.parse(text);
  if (match === null || Number.isNaN(time)) return null;
  return `${new Date(time).toISOString().slice(0, 19)}${match[1] ?? ""}Z`;
}

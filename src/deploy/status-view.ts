/** The host object as text for people, in the words of bootc's tutorial. */
import { type BootEntry, type HostObject, type ImageStatus, type UsrOverlay } from "./host-object.ts";
import { formatImageSpec } from "./origin.ts";

export function formatStatus(host: HostObject, options: { verbose: boolean; booted: boolean }): string {
  const { status } = host;
  if (status.booted === null) return "System is not deployed via bootc.";
  const slots: (string | undefined)[] = [
    options.booted ? undefined : formatSlot("staged", status.staged, options.verbose),
    formatSlot("booted", status.booted, options.verbose, status.usrOverlay),
    options.booted ? undefined : formatSlot("rollback", status.rollback, options.verbose),
    ...(status.otherDeployments ?? []).map((entry) => formatSlot("other", entry, options.verbose)),
    options.booted || !status.rollbackQueued || status.staged !== null ? undefined : "Next boot: rollback deployment",
    status.readOnly ? "The physical root is read-only: this system cannot be changed" : undefined,
  ];
  return slots.filter((slot) => slot !== undefined).join("\n");
}

/** "2025-02-12T10:11:00.087146497Z" → "2025-02-12 10:11:00.087146497 UTC". */
export function formatTimestamp(timestamp: string): string {
  return timestamp.replace("T", " ").replace(/Z$/, " UTC");
}

type Slot = "staged" | "booted" | "rollback" | "other";

function formatSlot(
  slot: Slot,
  entry: BootEntry | null,
  verbose: boolean,
  usrOverlay: UsrOverlay | null = null,
): string {
  if (entry === null) return `No ${slot} image present`;
  const { image } = entry;
  const title = slot === "other" ? "Other image" : `Current ${slot} image`;
  const rows = image === null ? [] : imageRows(image);
  if (entry.downloadOnly) rows.push(["Download only", "yes (not applied on reboot, see upgrade --from-downloaded)"]);
  if (usrOverlay !== null) {
    rows.push([
      "/usr overlay",
      `${usrOverlay.persistence}, ${usrOverlay.accessMode === "readWrite" ? "read/write" : "read-only"}`,
    ]);
  }
  if (verbose) rows.push(...verboseRows(entry));
  return [
    `${title}: ${image === null ? entry.composefs.verity : formatImageSpec(image.image)}`,
    ...rows.map(([name, value]) => `    ${name}: ${value}`),
  ].join("\n");
}

function imageRows(image: ImageStatus): [string, string][] {
  const when = image.timestamp === null ? undefined : formatTimestamp(image.timestamp);
  const rows: [string, string][] = [];
  if (image.version !== null)
    rows.push(["Image version", when === undefined ? image.version : `${image.version} (${when})`]);
  else if (when !== undefined) rows.push(["Image timestamp", when]);
  rows.push(["Image digest", image.imageDigest]);
  return rows;
}

function verboseRows(entry: BootEntry): [string, string][] {
  const { composefs } = entry;
  return [
    ...(entry.image === null ? [] : ([["Architecture", entry.image.architecture]] as [string, string][])),
    ["Verity", composefs.verity],
    ["FsVerity", composefs.missingVerityAllowed ? "Not Enforced" : "Enforced"],
    ["Boot type", `${composefs.bootType} (${composefs.bootloader})`],
    ["Boot digest", composefs.bootDigest ?? "unknown"],
    ["Soft-reboot", entry.softRebootCapable ? "yes" : "no"],
  ];
}

/** What upgrade and switch say, in bootc's words. Sizes are decimal with one digit, as bootc prints them. */
import { type ImageConfig, imageVersion } from "../oci/config.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { FetchPlan, LayerDiff, LayerSum } from "./layer-diff.ts";

/** "825.9 MB", "247 bytes". */
export function formatSize(bytes: number): string {
  const units = ["kB", "MB", "GB", "TB"];
  if (bytes < 1000) return `${bytes} bytes`;
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit] ?? "kB"}`;
}

/** "787.67 MiB". */
export function formatMebibytes(bytes: number): string {
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(2)} KiB` : `${(bytes / 1024 / 1024).toFixed(2)} MiB`;
}

/** "36 seconds". */
export function formatSeconds(durationMs: number): string {
  const seconds = Math.round(durationMs / 1000);
  return `${seconds} second${seconds === 1 ? "" : "s"}`;
}

export function versionLines(offered: { digest: string; manifest: Manifest; config: ImageConfig }): string[] {
  const version = imageVersion(offered.config) ?? offered.manifest.annotations?.["org.opencontainers.image.version"];
  return [...(version === undefined ? [] : [`  Version: ${version}`]), `  Digest: ${offered.digest}`];
}

export function diffLines(diff: LayerDiff): string[] {
  return [
    line("Total new layers:", diff.total),
    line("Removed layers:", diff.removed),
    line("Added layers:", diff.added),
  ];
}

export function fetchLines(plan: FetchPlan): string[] {
  return [line("Layers to fetch:", plan.needed), ...wayLines(plan)];
}

/** How they come, when that moves less than their size. */
export function wayLines({ ways, bytes }: FetchPlan): string[] {
  if (ways.every(({ kind }) => kind === "blob")) return [];
  return [
    ...ways.map((way) => {
      const whole = way.kind === "blob" ? "" : ` of ${formatSize(way.wholeBytes)}`;
      return `${line(WAYS[way.kind], { count: way.layers, bytes: way.bytes })}${whole}`;
    }),
    `To download:      ${formatSize(bytes)}`,
  ];
}

const WAYS = { blob: "  whole:", ranges: "  changed files:", delta: "  delta:" } as const;

export function neededLine(plan: FetchPlan): string {
  return `layers already present: ${plan.present.count}; layers needed: ${plan.needed.count} (${formatSize(plan.needed.bytes)})`;
}

export function fetchedLine(bytes: number, durationMs: number): string {
  const rate = durationMs <= 0 ? bytes : (bytes * 1000) / durationMs;
  return `Fetched layers: ${formatMebibytes(bytes)} in ${formatSeconds(durationMs)} (${formatMebibytes(rate)}/s)`;
}

function line(label: string, sum: LayerSum): string {
  return `${label.padEnd(18)}${String(sum.count).padEnd(4)}  Size: ${formatSize(sum.bytes)}`;
}

/** Sizes, rates and durations as people read them. Decimal units, as podman and bootc print. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** 1540 → "1.54 kB": three significant digits. */
export function formatBytes(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${trimZeros(value.toFixed(digits))} ${UNITS[unit] ?? "B"}`;
}

/** 1, "repository" → "1 repository"; 2 → "2 repositories". */
export function formatCount(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}

/** 93_400 ms → "1m33s", 4_210 → "4.2s". */
export function formatDuration(durationMs: number): string {
  if (durationMs < 10_000) return `${(durationMs / 1000).toFixed(1)}s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${String(seconds % 60).padStart(2, "0")}s`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, "0")}m`;
}

/** Whole bytes from "10G", "512MiB", "2.5 GB" or "1048576"; K M G T alone are binary, as in lvm and qemu. Throws SyntaxError. */
export function parseSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(?:([KMGTkmgt])(i?[Bb])?|[Bb])?\s*$/.exec(text);
  const amount = match?.[1];
  if (match === null || amount === undefined) {
    throw new SyntaxError(
      `Cannot parse size ${JSON.stringify(text)}: wanted a number with an optional unit, e.g. 10G, 512MiB, 2.5GB`,
    );
  }
  const power = " KMGT".indexOf((match[2] ?? " ").toUpperCase());
  const base = match[3] !== undefined && /^[bB]$/.test(match[3]) ? 1000 : 1024;
  return Math.round(Number(amount) * base ** power);
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

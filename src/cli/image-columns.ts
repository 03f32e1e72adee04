/** Columns of `images` and `history` as podman prints them: ages, sizes, ids. */

const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["week", 7 * 86_400],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** `created` is RFC 3339; `nowMs` since the epoch. "2 hours ago", "About a minute ago", "Less than a second ago". */
export function formatAge(created: string | undefined, nowMs: number): string {
  const since = created === undefined ? Number.NaN : Date.parse(created);
  if (Number.isNaN(since)) return "N/A";
  const seconds = Math.floor((nowMs - since) / 1000);
  if (seconds < 1) return "Less than a second ago";
  // A unit is used from two of it on, as podman does: 90 minutes are "About an hour".
  for (const [name, size] of UNITS) {
    const count = Math.floor(seconds / size);
    if (count >= 2) return `${count} ${name}s ago`;
    if (count === 1 && name === "hour") return "About an hour ago";
    if (count === 1 && name === "minute") return "About a minute ago";
  }
  return "1 second ago";
}

/** Left-aligned columns, two blanks between them. */
export function formatColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) => `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join("  ")}\n`).join("");
}

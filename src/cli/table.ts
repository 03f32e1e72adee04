/** Tables and ages as podman prints them. */

/** Columns padded to their widest cell, two blanks between; the header is always there. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) =>
    lines.reduce((widest, cells) => Math.max(widest, Array.from(cells[column] ?? "").length), 0),
  );
  return lines
    .map((cells) =>
      header
        .map((_, column) => {
          const cell = cells[column] ?? "";
          return cell + " ".repeat((widths[column] ?? 0) - Array.from(cell).length);
        })
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** "5 seconds", "About a minute", "2 hours": how long something lasted. */
export function formatAge(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const days = Math.floor(hours / 24);
  if (days < 14) return `${days} days`;
  if (days < 60) return `${Math.floor(days / 7)} weeks`;
  if (days < 730) return `${Math.floor(days / 30)} months`;
  return `${Math.floor(days / 365)} years`;
}

/** "2 hours ago"; `time` is RFC 3339 and may be missing. */
export function formatSince(time: string | undefined, nowMs: number): string {
  const since = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(since) ? "N/A" : `${formatAge(nowMs - since)} ago`;
}

/** An id as a table shows it. */
export function shortId(id: string): string {
  return id.replace(/^sha(?:256|512):/, "").slice(0, 12);
}

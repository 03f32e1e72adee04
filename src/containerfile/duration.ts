/** parseDuration(): durations as Go writes them, `1h2m3.5s`, `300ms`. */

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds; undefined when the text is no duration. `0` needs no unit; negative ones are not taken. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const match of text.matchAll(/([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)/g))
    total += Number(match[1]) * (UNITS_MS[match[2] ?? ""] ?? 0);
  return total;
}

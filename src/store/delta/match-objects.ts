/**
 * matchObjects(): the old object that each new one was probably made from: that of the same path, else one whose file name is the
 * same but for digits (a kernel's modules lie below its version), of those the one with the likest path, then the likest size.
 */
import { compareBytes } from "../../core/bytes.ts";

export interface SizedObject {
  readonly path: string;
  readonly objectId: string;
  readonly sizeBytes: number;
}

/** Old object id by new object id; objects without a match are left out. */
export function matchObjects(olds: readonly SizedObject[], news: readonly SizedObject[]): ReadonlyMap<string, string> {
  const byPath = new Map(olds.map((old) => [old.path, old]));
  const byName = Map.groupBy([...byPath.values()], ({ path }) => nameKey(path));
  const matches = new Map<string, string>();
  for (const next of news) {
    if (matches.has(next.objectId)) continue;
    const old = byPath.get(next.path) ?? likest(next, byName.get(nameKey(next.path)) ?? []);
    if (old !== undefined) matches.set(next.objectId, old.objectId);
  }
  return matches;
}

function nameKey(path: string): string {
  return withoutDigits(path.slice(path.lastIndexOf("/") + 1));
}

function withoutDigits(text: string): string {
  return text.replace(/[0-9]+/g, "0");
}

function likest(wanted: SizedObject, candidates: readonly SizedObject[]): SizedObject | undefined {
  const path = withoutDigits(wanted.path);
  const ranked = candidates.map((candidate) => ({
    candidate,
    common: commonEnd(path, withoutDigits(candidate.path)),
    distance: Math.abs(candidate.sizeBytes - wanted.sizeBytes),
  }));
  ranked.sort(
    (left, right) =>
      right.common - left.common ||
      left.distance - right.distance ||
      compareBytes(left.candidate.path, right.candidate.path),
  );
  return ranked[0]?.candidate;
}

function commonEnd(left: string, right: string): number {
  let length = 0;
  while (length < left.length && length < right.length && left.at(-1 - length) === right.at(-1 - length)) length += 1;
  return length;
}

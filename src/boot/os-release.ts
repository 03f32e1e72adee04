/**
 * OsRelease: the fields of /usr/lib/os-release that name a boot entry.
 *
 * @see os-release(5)
 */

export type OsRelease = Readonly<Record<string, string>>;

/** Lines that are no assignment are skipped, as every reader of this file does. */
export function parseOsRelease(text: string): OsRelease {
  const fields: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^\s*([A-Z][A-Z0-9_]*)=(.*?)\s*$/.exec(line);
    if (match?.[1] !== undefined) fields[match[1]] = unquote(match[2] ?? "");
  }
  return fields;
}

export function osId(release: OsRelease): string {
  return given(release, "ID") ?? "bootc";
}

/** VERSION_ID, else VERSION. */
export function osVersion(release: OsRelease): string | undefined {
  return given(release, "VERSION_ID") ?? given(release, "VERSION");
}

export function osTitle(release: OsRelease): string {
  return given(release, "PRETTY_NAME") ?? given(release, "NAME") ?? osId(release);
}

/** An empty field counts as none: a boot entry has no lines without a value. */
function given(release: OsRelease, field: string): string | undefined {
  const value = release[field]?.trim();
  return value === "" ? undefined : value;
}

/** Shell quoting without expansion: '…' as it is; in "…" and bare a backslash takes the next character. */
function unquote(text: string): string {
  if (text.length >= 2 && text.startsWith("'") && text.endsWith("'")) return text.slice(1, -1);
  const bare = text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  return bare.replace(/\\(.)/g, "$1");
}

/** compileGlob(): a pattern of repository names. `*` is any text without `/`, `**` any text; the pattern covers the whole name. */

/** What a pattern may consist of: the characters of names, and stars. */
export const GLOB = /^[a-z0-9._/*-]{1,255}$/;

/** Throws SyntaxError for characters that no name has. */
export function compileGlob(pattern: string): RegExp {
  if (!GLOB.test(pattern)) {
    throw new SyntaxError(
      `pattern ${JSON.stringify(pattern.slice(0, 80))} can match no repository, wanted lower-case names with * or **`,
    );
  }
  const source = pattern
    .replace(/[.-]/g, String.raw`\$&`)
    .replace(/\*{2,}|\*/g, (stars) => (stars.length > 1 ? ".*" : "[^/]*"));
  return new RegExp(`^${source}$`);
}

/** compileTagGlob(): a pattern of tags. `*` is any text; the pattern covers the whole tag. */

/** What a pattern may consist of: the characters of tags, and stars. */
export const TAG_GLOB = /^[A-Za-z0-9._*-]{1,128}$/;

/** Throws SyntaxError for characters that no tag has. */
export function compileTagGlob(pattern: string): RegExp {
  if (!TAG_GLOB.test(pattern)) {
    throw new SyntaxError(`pattern ${JSON.stringify(pattern.slice(0, 80))} can match no tag`);
  }
  return new RegExp(`^${pattern.replace(/[.-]/g, String.raw`\$&`).replace(/\*+/g, ".*")}$`);
}

/**
 * Glob patterns of COPY sources and of ignore files, as Go's filepath.Match reads them: `*` `?` `[…]` do not cross `/`, `\`
 * escapes; `**` crosses.
 *
 * @see Go path/filepath.Match; Dockerfile reference, ".dockerignore file"
 */

/** True when the text has a character that makes it a pattern. */
export function isGlob(text: string): boolean {
  return /[*?[\\]/.test(text);
}

/** A pattern for a whole path. Throws SyntaxError for an unfinished `[` or a lone `\` at the end. */
export function globToRegExp(pattern: string): RegExp {
  return new RegExp(`^${globSource(pattern)}$`, "su");
}

/** The regular expression's text, without anchors. */
export function globSource(pattern: string): string {
  let source = "";
  let at = 0;
  while (at < pattern.length) {
    const character = String.fromCodePoint(pattern.codePointAt(at) ?? 0);
    if (pattern.startsWith("**", at)) {
      at += 2;
      while (pattern[at] === "*") at += 1;
      if (pattern[at] === "/") {
        at += 1;
        source += "(?:.*/)?";
      } else source += ".*";
    } else if (character === "*") {
      source += "[^/]*";
      at += 1;
    } else if (character === "?") {
      source += "[^/]";
      at += 1;
    } else if (character === "[") {
      const end = endOfClass(pattern, at);
      source += classSource(pattern.slice(at + 1, end));
      at = end + 1;
    } else if (character === "\\") {
      const next = pattern.codePointAt(at + 1);
      if (next === undefined) throw new SyntaxError(`pattern ${JSON.stringify(pattern)} ends with a lone \\`);
      const escaped = String.fromCodePoint(next);
      source += quote(escaped);
      at += 1 + escaped.length;
    } else {
      source += quote(character);
      at += character.length;
    }
  }
  return source;
}

function quote(character: string): string {
  return character.replace(/[$()*+.?[\\\]^{|}/-]/u, (special) => (special === "-" ? "-" : `\\${special}`));
}

function endOfClass(pattern: string, start: number): number {
  let at = start + 1;
  if (pattern[at] === "^" || pattern[at] === "!") at += 1;
  if (pattern[at] === "]") throw new SyntaxError(`pattern ${JSON.stringify(pattern)} has an empty []`);
  for (; at < pattern.length; at += 1) {
    if (pattern[at] === "\\") at += 1;
    else if (pattern[at] === "]") return at;
  }
  throw new SyntaxError(`pattern ${JSON.stringify(pattern)} has an unfinished [`);
}

function classSource(body: string): string {
  const negated = body.startsWith("^") || body.startsWith("!");
  const members = (negated ? body.slice(1) : body).replace(
    /\\(.)|([[\]^])/gsu,
    (_, escaped: string | undefined, special: string | undefined) => {
      const character = escaped ?? special ?? "";
      return /[[\]\\^-]/.test(character) ? `\\${character}` : character;
    },
  );
  return negated ? `(?!/)[^${members}]` : `(?!/)[${members}]`;
}

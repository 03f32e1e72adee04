/**
 * Kernel command line: words separated by blanks, a double-quoted part of a word may hold blanks. Quotes stay in the word, so
 * that joining gives back what was split.
 *
 * @see Linux lib/cmdline.c next_arg(); composefs-rs cmdline.rs for `composefs=` and `composefs.digest=`
 */

/** The deployment that a command line boots. */
export interface ComposefsParameter {
  /** 64 or 128 lower-case hex digits: the image's fs-verity digest. */
  readonly id: string;
  /** `?` in front of the digest: a file system without fs-verity is accepted. */
  readonly verityOptional: boolean;
}

export function splitCommandLine(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let quoted = false;
  for (const letter of text) {
    if (letter === '"') quoted = !quoted;
    if (!quoted && /\s/.test(letter)) {
      if (word !== "") words.push(word);
      word = "";
    } else {
      word += letter;
    }
  }
  if (word !== "") words.push(word);
  return words;
}

export function joinCommandLine(words: readonly string[]): string {
  return words.join(" ");
}

/** The part before `=`, with `-` written `_`: the kernel takes them as one. */
export function parameterKey(word: string): string {
  const bare = word.startsWith('"') ? word.slice(1) : word;
  const equals = bare.indexOf("=");
  return (equals < 0 ? bare : bare.slice(0, equals)).replaceAll("-", "_");
}

/** The same key and the same value, however the quotes stand. */
export function sameParameter(left: string, right: string): boolean {
  return parameterKey(left) === parameterKey(right) && parameterValue(left) === parameterValue(right);
}

/** `composefs.digest=` of format V1 with sha512 is preferred, then `composefs=`. undefined when neither names a digest. */
export function readComposefs(words: readonly string[]): ComposefsParameter | undefined {
  for (const pattern of [
    /^composefs\.digest=(\??)v1-sha512-12:([0-9a-f]{128})$/,
    /^composefs=(\??)([0-9a-f]{64}|[0-9a-f]{128})$/,
  ]) {
    for (const word of words) {
      const match = pattern.exec(word.replaceAll('"', ""));
      if (match?.[2] !== undefined) return { id: match[2], verityOptional: match[1] === "?" };
    }
  }
  return undefined;
}

/** The words with the deployment replaced in its place, or added at the end. */
export function withComposefs(words: readonly string[], parameter: ComposefsParameter): string[] {
  const token = `composefs=${parameter.verityOptional ? "?" : ""}${parameter.id}`;
  const isToken = (word: string): boolean => ["composefs", "composefs.digest"].includes(parameterKey(word));
  const first = words.findIndex(isToken);
  if (first < 0) return [...words, token];
  return words.flatMap((word, i) => (i === first ? [token] : isToken(word) ? [] : [word]));
}

/** Added at the end unless the very same parameter is there; another value of the key is kept (`console=` twice). */
export function withParameters(words: readonly string[], added: readonly string[]): string[] {
  const result = [...words];
  for (const word of added) if (!result.some((present) => sameParameter(present, word))) result.push(word);
  return result;
}

/** Without the parameters that equal one of `removed`. */
export function withoutParameters(words: readonly string[], removed: readonly string[]): string[] {
  return words.filter((word) => !removed.some((gone) => sameParameter(word, gone)));
}

function parameterValue(word: string): string | undefined {
  const equals = word.indexOf("=");
  return equals < 0 ? undefined : word.slice(equals + 1).replaceAll('"', "");
}

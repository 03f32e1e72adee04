/**
 * parseChallenges(): the WWW-Authenticate header.
 *
 * @see RFC 9110 section 11.6.1; distribution "Token Authentication"
 */

export interface Challenge {
  /** Lower case: basic, bearer. */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Never throws: what cannot be read is left out. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const token =
    /\s*(?:([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([A-Za-z0-9!#$%&'*+.^_`|~-]+))\s*(?:,|(?=\s)|$)/gy;
  for (let match = token.exec(header); match !== null && match[0] !== ""; match = token.exec(header)) {
    const [, name, quoted, plain, scheme] = match;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    const last = challenges.at(-1);
    if (name !== undefined && last !== undefined) {
      last.parameters[name.toLowerCase()] = quoted?.replaceAll(/\\(.)/g, "$1") ?? plain ?? "";
    }
  }
  return challenges;
}

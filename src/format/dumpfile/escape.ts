/**
 * Escapes of the composefs dump format: `\\ \n \r \t \xHH` and nothing else.
 *
 * @see composefs-dump(5)
 */

const SHORT: Readonly<Record<string, string>> = { "\\": "\\", n: "\n", r: "\r", t: "\t" };
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|([\\nrt])|)/g;

/** Latin1 text to latin1 bytes. Throws SyntaxError for an escape that the format does not have. */
export function unescapeField(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(ESCAPE, (match: string, hex: string | undefined, short: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    const char = short === undefined ? undefined : SHORT[short];
    if (char === undefined) throw new SyntaxError(`unknown or incomplete escape "${match}"`);
    return char;
  });
}

const PLAIN_FIELD = /^[\x21-\x5b\x5d-\x7e]+$/;
const PLAIN_XATTR = /^[\x21-\x3c\x3e-\x5b\x5d-\x7e]*$/;

/** A field: empty becomes `-`, a lone `-` is escaped. */
export function escapeField(bytes: string): string {
  if (bytes === "-") return "\\x2d";
  if (PLAIN_FIELD.test(bytes)) return bytes;
  return bytes === "" ? "-" : bytes.replace(/[^\x21-\x5b\x5d-\x7e]/g, escapeChar);
}

/** A path: as a field, but never `-`. */
export function escapePath(bytes: string): string {
  return PLAIN_FIELD.test(bytes) ? bytes : bytes.replace(/[^\x21-\x5b\x5d-\x7e]/g, escapeChar);
}

/** Key or value of an xattr: `=` is escaped too, empty stays empty. */
export function escapeXattr(bytes: string): string {
  return PLAIN_XATTR.test(bytes) ? bytes : bytes.replace(/[^\x21-\x3c\x3e-\x5b\x5d-\x7e]/g, escapeChar);
}

function escapeChar(char: string): string {
  switch (char) {
    case "\\":
      return "\\\\";
    case "\n":
      return "\\n";
    case "\r":
      return "\\r";
    case "\t":
      return "\\t";
    default:
      return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  }
}

/**
 * checkJsonShape(): how deep a JSON text nests and how many values it has, counted before it is parsed. Eight megabytes of brackets
 * parse into hundreds of megabytes and hold up every other client for seconds; no manifest looks like that.
 */

/** Levels of objects and arrays. A manifest needs about five; unknown fields may nest further. */
const DEPTH_MAX = 64;
/** Members and elements. An index of 4 MiB that names 25,000 manifests has 150,000. */
const VALUES_MAX = 400_000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Throws SyntaxError past a limit. Text that is no JSON passes: the parser says what is wrong with it. */
export function checkJsonShape(json: Uint8Array, what: string): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === QUOTE) at = endOfString(json, at);
    else if (byte === COMMA) values += 1;
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth -= 1;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      depth += 1;
      values += 1;
      if (depth > DEPTH_MAX) throw new SyntaxError(`Cannot read ${what}: it nests deeper than ${DEPTH_MAX} levels`);
    }
    if (values > VALUES_MAX) throw new SyntaxError(`Cannot read ${what}: it has more than ${VALUES_MAX} values`);
  }
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(json: Uint8Array, start: number): number {
  for (let at = start + 1; at < json.length; at += 1) {
    if (json[at] === BACKSLASH) at += 1;
    else if (json[at] === QUOTE) return at;
  }
  return json.length;
}

/**
 * Reading JSON from outside: `unknown` in, a typed value out, and a SyntaxError that names the field otherwise.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

/** `what` names the document in the error, e.g. "manifest". */
export function parseJsonObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(
      `Cannot parse ${what}: it is not JSON (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  return asObject(value, what);
}

/** As parseJsonObject(), and no object in it may name a key twice: for documents where the reader must not have to choose. */
export function parseUniqueJsonObject(text: string, what: string): JsonObject {
  const object = parseJsonObject(text, what);
  // The text is JSON, so strings and brackets are all that matters; undefined stands for an array.
  const open: (Set<string> | undefined)[] = [];
  for (const [token, key, colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g)) {
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (key !== undefined && colon !== undefined) {
      const name = String(JSON.parse(key));
      if (open.at(-1)?.has(name))
        throw new SyntaxError(`Cannot read ${what}: it has the key ${JSON.stringify(name)} twice`);
      open.at(-1)?.add(name);
    }
  }
  return object;
}

/** An object with no other keys than these. */
export function asExactObject(value: unknown, what: string, keys: readonly string[]): JsonObject {
  const object = asObject(value, what);
  const unknown = Object.keys(object).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw new SyntaxError(
      `Cannot read ${what}: it has the unknown key ${JSON.stringify(unknown)}, wanted ${keys.join(", ")}`,
    );
  }
  return object;
}

/** Throws SyntaxError that names `what` and the kind of value found, as all the readers here. */
export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(what, "an object", value);
  return value as JsonObject;
}

export function asArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(what, "an array", value);
  return value;
}

export function asString(value: unknown, what: string): string {
  if (typeof value !== "string") throw wrong(what, "a string", value);
  return value;
}

/** A whole number from 0 to 2^53-1. */
export function asCount(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw wrong(what, "a whole number >= 0", value);
  return value;
}

export function asStringMap(value: unknown, what: string): Readonly<Record<string, string>> {
  const object = asObject(value, what);
  for (const [key, entry] of Object.entries(object)) asString(entry, `${what}.${key}`);
  return object as Readonly<Record<string, string>>;
}

/** `read` applied when the field is there; null counts as absent, as Go writes it. */
export function optional<T>(value: unknown, what: string, read: (value: unknown, what: string) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value, what);
}

function wrong(what: string, wanted: string, value: unknown): SyntaxError {
  return new SyntaxError(
    `Cannot read ${what}: it is ${JSON.stringify(value)?.slice(0, 80) ?? "absent"}, wanted ${wanted}`,
  );
}

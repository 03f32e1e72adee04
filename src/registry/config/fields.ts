/**
 * Fields: a configuration as a table from which both its reader and its JSON schema come, so that the two cannot disagree.
 * A key is the table's name in kebab-case: `clientCa` is `client-ca` in the file. Unknown keys are errors, because a mistyped
 * key of a server's configuration is a hole that nobody sees.
 *
 * @see JSON Schema 2020-12
 */
import { asArray, asCount, asObject, asString } from "../../core/json.ts";
import { suggest } from "../../core/suggest.ts";
import { parseSize } from "../../core/units.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Field<T> {
  readonly schema: JsonSchema;
  /** An absent key is an error. */
  readonly required: boolean;
  /** `where` is the key's whole name. `value` is undefined for an absent key. Throws SyntaxError. */
  read(value: unknown, where: string): T;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type ValueOf<F> = F extends Field<infer T> ? T : never;
export type TableOf<F extends Fields> = { readonly [Name in keyof F]: ValueOf<F[Name]> };

export function text(description: string): Field<string> {
  return {
    schema: { type: "string", minLength: 1, description },
    required: true,
    read(value, where) {
      const read = asString(value, where);
      if (read === "") throw new SyntaxError(`Cannot read ${where}: it is empty`);
      return read;
    },
  };
}

export function count(description: string, minimum = 0): Field<number> {
  return {
    schema: { type: "integer", minimum, description },
    required: true,
    read(value, where) {
      const read = asCount(value, where);
      if (read < minimum) throw new SyntaxError(`Cannot read ${where}: it is ${read}, wanted at least ${minimum}`);
      return read;
    },
  };
}

export function flag(description: string): Field<boolean> {
  return {
    schema: { type: "boolean", description },
    required: true,
    read(value, where) {
      if (typeof value !== "boolean") throw wrong(where, value, "true or false");
      return value;
    },
  };
}

export function choice<const C extends string>(description: string, choices: readonly C[]): Field<C> {
  return {
    schema: { enum: choices, description },
    required: true,
    read(value, where) {
      const found = choices.find((each) => each === value);
      if (found === undefined) throw wrong(where, value, quoted(choices));
      return found;
    },
  };
}

/** Text of a stricter form. `pattern` and `parse` must accept the same texts; `parse` throws SyntaxError or RangeError. */
export function parsed<T>(description: string, pattern: string, parse: (text: string) => T): Field<T> {
  return {
    schema: { type: "string", pattern, description },
    required: true,
    read(value, where) {
      const read = asString(value, where);
      try {
        return parse(read);
      } catch (error) {
        throw new SyntaxError(`Cannot read ${where}: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
  };
}

/** `500ms`, `30s`, `5m`, `12h`, `7d`; in milliseconds. */
export function duration(description: string): Field<number> {
  return parsed(`${description}, as in 500ms, 30s, 5m, 12h, 7d`, DURATION.source, parseDuration);
}

/** `64M`, `10 GiB`; in bytes. */
export function bytes(description: string): Field<number> {
  const pattern = String.raw`^\s*\d+(\.\d+)?\s*(([KMGTkmgt])(i?[Bb])?|[Bb])?\s*$`;
  return parsed(`${description}, as in 64M, 10 GiB`, pattern, parseSize);
}

export function list<T>(description: string, of: Field<T>): Field<readonly T[]> {
  return {
    schema: { type: "array", items: of.schema, description },
    required: true,
    read: (value, where) => asArray(value, where).map((entry, index) => of.read(entry, `${where}[${index}]`)),
  };
}

/** Any keys, each with a value of one kind. */
export function mapOf<T>(description: string, of: Field<T>): Field<ReadonlyMap<string, T>> {
  return {
    schema: { type: "object", additionalProperties: of.schema, description },
    required: true,
    read: (value, where) =>
      new Map(Object.entries(asObject(value, where)).map(([key, entry]) => [key, of.read(entry, `${where}.${key}`)])),
  };
}

export function maybe<T>(field: Field<T>): Field<T | undefined> {
  const read = (value: unknown, where: string): T | undefined =>
    value === undefined ? undefined : field.read(value, where);
  return { schema: field.schema, required: false, read };
}

/** `fallback` as the file would say it. */
export function withDefault<T>(field: Field<T>, fallback: unknown): Field<T> {
  return {
    schema: { ...field.schema, default: fallback },
    required: false,
    read: (value, where) => field.read(value ?? fallback, where),
  };
}

export function table<const F extends Fields>(description: string, fields: F): Field<TableOf<F>> {
  return {
    schema: { ...tableSchema(fields), description },
    required: true,
    read: (value, where) => readTable(fields, value, where),
  };
}

/** One of several tables, told apart by the text of the key `tag`. */
export function variants<const V extends Readonly<Record<string, Fields>>, const Tag extends string>(
  description: string,
  tag: Tag,
  tables: V,
): Field<{ [Name in keyof V & string]: TableOf<V[Name]> & { readonly [T in Tag]: Name } }[keyof V & string]> {
  const names = Object.keys(tables);
  const whole = Object.fromEntries(
    names.map((name) => [name, { [tag]: choice(`Which ${tag}`, [name]), ...tables[name] }]),
  );
  type Variant = { [Name in keyof V & string]: TableOf<V[Name]> & { readonly [T in Tag]: Name } }[keyof V & string];
  return {
    schema: { description, oneOf: Object.values(whole).map((fields) => tableSchema(fields)) },
    required: true,
    read: function parseVariant(value, where) {
      const name = asString(asObject(value, where)[tag], `${where}.${tag}`);
      const fields = whole[name];
      if (fields === undefined) throw wrong(`${where}.${tag}`, name, quoted(names));
      return readTable(fields, value, where) as Variant;
    },
  };
}

function tableSchema(fields: Fields): JsonSchema {
  const entries = Object.entries(fields).map(([name, field]) => [keyOf(name), field] as const);
  const required = entries.filter(([, field]) => field.required).map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, field]) => [key, field.schema])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

function readTable<F extends Fields>(fields: F, value: unknown, where: string): TableOf<F> {
  const object = asObject(value, where);
  const names = Object.keys(fields);
  const keys = names.map(keyOf);
  const prefix = where === ROOT ? "" : `${where}.`;
  for (const key of Object.keys(object)) {
    if (keys.includes(key)) continue;
    const near = suggest(key, keys);
    const wanted = near === undefined ? `wanted ${keys.join(", ")}` : `did you mean "${near}"?`;
    throw new SyntaxError(`Cannot read ${ROOT}: key "${prefix}${key}" is unknown, ${wanted}`);
  }
  return parseEntries(fields, (name, field) => field.read(object[keyOf(name)], prefix + keyOf(name)));
}

function parseEntries<F extends Fields>(fields: F, read: (name: string, field: Field<unknown>) => unknown): TableOf<F> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, read(name, field)])) as TableOf<F>;
}

/** What errors call the whole file. */
export const ROOT = "registry.toml";

const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds. Throws SyntaxError. */
export function parseDuration(value: string): number {
  const match = DURATION.exec(value);
  const unit = UNIT_MS[match?.[2] ?? ""];
  if (match === null || unit === undefined) {
    throw new SyntaxError(`${JSON.stringify(value.slice(0, 80))} is no duration, wanted a number and ms, s, m, h or d`);
  }
  return Number(match[1]) * unit;
}

function keyOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function quoted(choices: readonly string[]): string {
  return choices.map((each) => `"${each}"`).join(" or ");
}

function wrong(where: string, value: unknown, wanted: string): SyntaxError {
  return new SyntaxError(
    `Cannot read ${where}: it is ${JSON.stringify(value)?.slice(0, 80) ?? "absent"}, wanted ${wanted}`,
  );
}

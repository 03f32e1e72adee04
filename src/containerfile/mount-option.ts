/**
 * MountOption: the value of `RUN --mount=…`, checked as far as it can be before variables are known.
 *
 * @see Dockerfile reference, "RUN --mount"
 */
import { type ContainerfileError } from "./containerfile-error.ts";
import { errorAt, type LogicalLine } from "./logical-line.ts";
import { suggest } from "../core/suggest.ts";
import type { Word } from "./words.ts";

export const MOUNT_TYPES = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
export type MountType = (typeof MOUNT_TYPES)[number];

/** Values still hold their variables. */
export interface MountOption {
  readonly type: MountType;
  readonly word: Word;
  readonly target: string | undefined;
  readonly source: string | undefined;
  readonly from: string | undefined;
  readonly id: string | undefined;
  readonly env: string | undefined;
  readonly sharing: "shared" | "private" | "locked";
  readonly readOnly: boolean;
  readonly required: boolean;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly sizeBytes: number | undefined;
}

const ALIASES: Readonly<Record<string, string>> = {
  dst: "target",
  destination: "target",
  src: "source",
  readwrite: "rw",
  ro: "readonly",
};
const COMMON = ["type", "target"];
const KEYS: Readonly<Record<MountType, readonly string[]>> = {
  bind: [...COMMON, "source", "from", "rw", "readonly"],
  cache: [...COMMON, "id", "sharing", "source", "from", "mode", "uid", "gid", "readonly", "rw"],
  tmpfs: [...COMMON, "size"],
  secret: [...COMMON, "id", "env", "required", "mode", "uid", "gid", "source"],
  ssh: [...COMMON, "id", "required", "mode", "uid", "gid"],
};
const BARE = ["rw", "readonly", "required"];
const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Throws ContainerfileError. */
export function parseMountOption(line: LogicalLine, word: Word): MountOption {
  const fields = readFields(line, word);
  const fail = (message: string, key?: string, hint?: string): ContainerfileError =>
    errorAt(line, message, key === undefined ? word.offset : (fields.get(key)?.offset ?? word.offset), hint);
  const type = MOUNT_TYPES.find((known) => known === (fields.get("type")?.text ?? "bind"));
  if (type === undefined) {
    const given = fields.get("type")?.text ?? "";
    const near = suggest(given, MOUNT_TYPES);
    throw fail(
      `unknown mount type ${JSON.stringify(given)}`,
      "type",
      near ? `did you mean ${near}?` : `wanted ${MOUNT_TYPES.join(", ")}`,
    );
  }
  for (const key of fields.keys()) {
    if (KEYS[type].includes(key)) continue;
    const somewhere = Object.values(KEYS).some((keys) => keys.includes(key));
    const near = suggest(key, KEYS[type]);
    const message = somewhere ? `mount type ${type} takes no ${key}` : `unknown mount option ${JSON.stringify(key)}`;
    throw fail(message, key, near === undefined ? `${type} knows ${KEYS[type].join(", ")}` : `did you mean ${near}?`);
  }
  const text = (key: string): string | undefined => fields.get(key)?.text;
  const isTrue = (key: string): boolean => fields.has(key) && text(key) !== "false";
  if (type === "bind" || type === "cache" || type === "tmpfs") {
    if ((text("target") ?? "") === "") throw fail(`mount type ${type} needs target=`);
  }
  if (type === "secret" && text("id") === undefined && text("target") === undefined && text("source") === undefined) {
    throw fail("mount type secret needs id= or target=");
  }
  const sharing = (["shared", "private", "locked"] as const).find((known) => known === (text("sharing") ?? "shared"));
  if (sharing === undefined)
    throw fail(`unknown sharing ${JSON.stringify(text("sharing"))}, wanted shared, private or locked`, "sharing");
  const number = (key: string, base: 8 | 10, most: number): number | undefined => {
    const given = text(key);
    if (given === undefined || given.includes("$")) return undefined;
    const value = (base === 8 ? /^[0-7]+$/ : /^[0-9]+$/).test(given) ? Number.parseInt(given, base) : Number.NaN;
    if (!(value <= most))
      throw fail(`${key} ${JSON.stringify(given)} is no ${base === 8 ? "octal mode" : "number"}`, key);
    return value;
  };
  return {
    type,
    word,
    target: text("target"),
    source: text("source"),
    from: text("from"),
    id: text("id"),
    env: text("env"),
    sharing,
    readOnly: type === "bind" ? !isTrue("rw") || isTrue("readonly") : isTrue("readonly"),
    required: isTrue("required"),
    mode: number("mode", 8, 0o7777),
    uid: number("uid", 10, 2 ** 32 - 2),
    gid: number("gid", 10, 2 ** 32 - 2),
    sizeBytes: readSize(text("size"), fail),
  };
}

function readFields(line: LogicalLine, word: Word): Map<string, Word> {
  const fields = new Map<string, Word>();
  let offset = word.offset;
  for (const field of word.text.split(",")) {
    const equals = field.indexOf("=");
    const given = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const key = ALIASES[given] ?? given;
    if (equals < 0 && !BARE.includes(key))
      throw errorAt(line, `mount option ${JSON.stringify(field)} needs a value`, offset);
    if (BARE.includes(key) && equals >= 0 && !/^(?:true|false|1|0)$/i.test(field.slice(equals + 1))) {
      throw errorAt(
        line,
        `mount option ${key} is ${JSON.stringify(field.slice(equals + 1))}, wanted true or false`,
        offset,
      );
    }
    if (fields.has(key)) throw errorAt(line, `mount option ${key} is given twice`, offset);
    const value = equals < 0 ? "true" : field.slice(equals + 1);
    fields.set(key, {
      text: BARE.includes(key) ? value.toLowerCase().replace("1", "true").replace("0", "false") : value,
      offset,
    });
    offset += field.length + 1;
  }
  return fields;
}

function readSize(text: string | undefined, fail: (message: string, key?: string) => Error): number | undefined {
  if (text === undefined || text.includes("$")) return undefined;
  const match = /^([0-9]+)([bkmgt]?)b?$/i.exec(text);
  const unit = SIZE_UNITS[match?.[2]?.toLowerCase() ?? ""];
  if (match === null || unit === undefined)
    throw fail(`size ${JSON.stringify(text)} is no size, wanted e.g. 64m`, "size");
  return Number(match[1]) * unit;
}

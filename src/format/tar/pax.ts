/**
 * PAX extended headers: `<length> <key>=<value>\n` records, values are bytes.
 *
 * @see POSIX.1-2024 pax, "pax Extended Header"; star(5), "SCHILY.xattr"
 */
import { compareBytes } from "../../core/bytes.ts";

/** Key to value; the value is a latin1 string, one byte a character. An empty value takes an earlier one back. */
export type PaxRecords = Map<string, string>;

export const XATTR_PREFIX = "SCHILY.xattr.";

/** Throws SyntaxError. Later records of one key win. */
export function readPaxRecords(bytes: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 || space - at > 10 ? "" : bytes.toString("latin1", at, space);
    const length = /^[1-9][0-9]*$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = bytes.indexOf(0x3d, space);
    if (length === 0 || end > bytes.length || bytes[end - 1] !== 0x0a || equals < 0 || equals >= end - 1) {
      throw new SyntaxError(`extended header record at byte ${at} is malformed, wanted "<length> <key>=<value>\\n"`);
    }
    const key = bytes.toString("latin1", space + 1, equals);
    if (key === "") throw new SyntaxError(`extended header record at byte ${at} has no key`);
    records.set(key, bytes.toString("latin1", equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** Records sorted by key, so that equal values give equal bytes. */
export function writePaxRecords(records: PaxRecords): Buffer {
  const keys = [...records.keys()].sort(compareBytes);
  return Buffer.from(keys.map((key) => formatRecord(key, records.get(key) ?? "")).join(""), "latin1");
}

/** The length counts itself. */
function formatRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + String(rest.length).length;
  if (String(length).length !== String(rest.length).length) length = rest.length + String(length).length;
  return `${length}${rest}`;
}

/** Seconds with an optional fraction, possibly negative: floor and nanoseconds. Digits past nine are cut. */
export function parsePaxTime(text: string): { sec: number; nsec: number } {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
  if (match === null)
    throw new SyntaxError(`extended header mtime is ${JSON.stringify(text.slice(0, 60))}, wanted seconds`);
  const whole = Number(match[2]);
  const nsec = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  if (match[1] === "") return { sec: whole, nsec };
  return nsec === 0 ? { sec: -whole || 0, nsec: 0 } : { sec: -whole - 1, nsec: 1_000_000_000 - nsec };
}

/** A decimal count that fits in 53 bits. */
export function parsePaxNumber(key: string, text: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new SyntaxError(`extended header ${key} is ${JSON.stringify(text.slice(0, 60))}, wanted a decimal number`);
  }
  return value;
}

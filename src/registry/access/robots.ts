/**
 * Robots: accounts for programs, each with an API key, rights of its own and an end. The file holds no key, only its SHA-256:
 * a key has 256 random bits, so a slow hash would protect nothing.
 *
 * A key reads `berth_<id>_<secret>`: secret scanners find it, and the id leads to its entry.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { asArray, asCount, asObject, asString, optional, parseJsonObject } from "../../core/json.ts";
import type { Action } from "../auth.ts";
import { compileGlob } from "./glob.ts";
import { type Account, type Grant, isAction } from "./permissions.ts";

export interface Robot extends Grant {
  readonly name: string;
  readonly id: string;
  /** SHA-256 of the key, hex. */
  readonly hash: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** undefined: never. */
  readonly expires: number | undefined;
}

const KEY = /^berth_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export function isRobotName(name: string): boolean {
  return NAME.test(name);
}

/** Anything that begins like a key is never tried as a password. */
export function looksLikeKey(secret: string): boolean {
  return secret.startsWith("berth_");
}

export interface NewKey {
  readonly id: string;
  /** Shown once, kept nowhere. */
  readonly key: string;
  readonly hash: string;
}

/** `berth_ID_SECRET`: 8 and 32 random bytes. Only the hash is kept. */
export function createKey(random: (sizeBytes: number) => Uint8Array): NewKey {
  const id = Buffer.from(random(8)).toString("hex");
  const key = `berth_${id}_${Buffer.from(random(32)).toString("base64url")}`;
  return { id, key, hash: hash("sha256", key) };
}

/** The robot whose key this is, if it has not ended at `now` (milliseconds since the epoch). */
export function findByKey(robots: readonly Robot[], key: string, now: number): Robot | undefined {
  const id = KEY.exec(key)?.[1];
  const robot = robots.find((each) => each.id === id);
  const presented = Buffer.from(hash("sha256", key));
  const wanted = Buffer.from(robot?.hash ?? hash("sha256", "nobody"));
  return timingSafeEqual(presented, wanted) && robot !== undefined && isLive(robot, now) ? robot : undefined;
}

/** `now` in milliseconds since the epoch. */
export function isLive(robot: Robot, now: number): boolean {
  return robot.expires === undefined || now < robot.expires;
}

/** Its credential changes with its key, so that tokens of an old key end with it. */
export function robotAccount(robot: Robot): Account {
  return { name: `robot:${robot.name}`, credential: robot.hash, grant: robot };
}

/** Throws SyntaxError. The empty text is no robots. */
export function parseRobots(text: string): readonly Robot[] {
  if (text.trim() === "") return [];
  return asArray(parseJsonObject(text, "robots")["robots"], "robots").map((entry, index) =>
    parseRobot(entry, `robots[${index}]`),
  );
}

export function formatRobots(robots: readonly Robot[]): string {
  const entries = robots.map(({ created, expires, ...rest }) => ({
    ...rest,
    created: new Date(created).toISOString(),
    ...(expires !== undefined && { expires: new Date(expires).toISOString() }),
  }));
  return `${JSON.stringify({ robots: entries }, undefined, 2)}\n`;
}

function parseRobot(value: unknown, where: string): Robot {
  const object = asObject(value, where);
  const strings = (key: string): string[] =>
    asArray(object[key], `${where}.${key}`).map((entry) => asString(entry, `${where}.${key}`));
  const repositories = strings("repositories");
  repositories.forEach(compileGlob);
  return {
    name: asString(object["name"], `${where}.name`),
    id: asString(object["id"], `${where}.id`),
    hash: asString(object["hash"], `${where}.hash`),
    created: asTime(object["created"], `${where}.created`),
    expires: optional(object["expires"], `${where}.expires`, asTime),
    repositories,
    actions: strings("actions").map((text) => parseAction(text)),
  };
}

/** Throws SyntaxError. */
export function parseAction(text: string): Action {
  if (!isAction(text)) throw new SyntaxError(`${JSON.stringify(text)} is no action, wanted pull, push or delete`);
  return text;
}

function asTime(value: unknown, where: string): number {
  const time = Date.parse(asString(value, where));
  return asCount(Number.isNaN(time) ? value : time, where);
}

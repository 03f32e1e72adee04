/**
 * Accounts: changing the users and robots of a registry's folder, while it is served or not. Each change is one locked
 * read-and-replace of one file, which a running server follows.
 */
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { CONFIG_NAME, inDirectory, readRegistryConfig, type RegistryConfig } from "../config.ts";
import { htpasswdLine, parseHtpasswd, requireUserName, withoutUser, withUser } from "../htpasswd.ts";
import { keepingOwner } from "../keeping-owner.ts";
import type { Grant } from "./permissions.ts";
import { createKey, formatRobots, isRobotName, parseRobots, type Robot } from "./robots.ts";

type AccountsHost = Pick<Host, "files" | "user" | "clock" | "random">;

export interface UserEntry {
  readonly name: string;
  readonly groups: readonly string[];
}

/** In the order of the htpasswd file. Failure "bad-input" for a damaged one. */
export function listUsers(host: Pick<Host, "files">, directory: string): UserEntry[] {
  const config = readRegistryConfig(host, directory);
  const users = readUsers(host, usersFile(config, directory));
  return [...users.keys()].map((name) => ({
    name,
    groups: [...config.groups].filter(([, members]) => members.includes(name)).map(([group]) => group),
  }));
}

/** Failure "already-exists". */
export async function addUser(host: AccountsHost, directory: string, name: string, password: string): Promise<void> {
  const line = await htpasswdLine(name, password);
  changeUsers(host, directory, (text, users) => {
    if (users.has(name)) {
      throw new Failure("already-exists", `Cannot add user "${name}": there is one already`, {
        hint: `change the password with: berth registry user passwd ${directory} ${name}`,
      });
    }
    return withUser(text, line);
  });
}

/** Failure "not-found". */
export async function setPassword(
  host: AccountsHost,
  directory: string,
  name: string,
  password: string,
): Promise<void> {
  const line = await htpasswdLine(name, password);
  changeUsers(host, directory, (text, users) => {
    requireUser(users, name, "change the password of");
    return withUser(text, line);
  });
}

/** Failure "not-found". */
export function removeUser(host: AccountsHost, directory: string, name: string): void {
  requireUserName(name);
  changeUsers(host, directory, (text, users) => {
    requireUser(users, name, "remove");
    return withoutUser(text, name);
  });
}

/** A robot as it is listed: without the hash of its key. */
export interface RobotEntry extends Grant {
  readonly name: string;
  readonly id: string;
  /** ISO 8601. */
  readonly created: string;
  readonly expires: string | undefined;
  readonly expired: boolean;
}

/** Also those that have expired, and say so. */
export function listRobots(host: Pick<Host, "files" | "clock">, directory: string): RobotEntry[] {
  const file = robotsFile(readRegistryConfig(host, directory), directory);
  return readRobots(host, file).map((robot) => robotEntry(robot, host.clock.now()));
}

/** The key is in the result and nowhere else. `lifeMs` undefined: it never ends. Failure "already-exists", "bad-input". */
export function createRobot(
  host: AccountsHost,
  directory: string,
  wanted: Grant & { readonly name: string; readonly lifeMs: number | undefined },
): RobotEntry & { readonly key: string } {
  const { name, lifeMs, repositories, actions } = wanted;
  if (!isRobotName(name)) {
    throw new Failure(
      "bad-input",
      `Cannot create a token named ${JSON.stringify(name.slice(0, 100))}: wanted up to 63 lower-case letters, digits, dots, - or _`,
    );
  }
  const { id, key, hash } = createKey((sizeBytes) => host.random(sizeBytes));
  const created = host.clock.now();
  const expires = lifeMs === undefined ? undefined : created + lifeMs;
  const robot: Robot = { name, id, hash, created, expires, repositories, actions };
  changeRobots(host, directory, (robots) => {
    if (robots.some((each) => each.name === name)) {
      throw new Failure("already-exists", `Cannot create token "${name}": there is one already`, {
        hint: `revoke it first with: berth registry token revoke ${directory} ${name}`,
      });
    }
    return [...robots, robot];
  });
  return { ...robotEntry(robot, created), key };
}

/** Failure "not-found". */
export function revokeRobot(host: AccountsHost, directory: string, name: string): void {
  changeRobots(host, directory, (robots) => {
    if (!robots.some((robot) => robot.name === name)) {
      throw new Failure("not-found", `Cannot revoke token "${name}": there is none of this name`, {
        hint: `see them with: berth registry token list ${directory}`,
      });
    }
    return robots.filter((robot) => robot.name !== name);
  });
}

function robotEntry({ name, id, created, expires, repositories, actions }: Robot, now: number): RobotEntry {
  return {
    name,
    id,
    repositories,
    actions,
    created: new Date(created).toISOString(),
    expires: expires === undefined ? undefined : new Date(expires).toISOString(),
    expired: expires !== undefined && now >= expires,
  };
}

function changeUsers(
  host: AccountsHost,
  directory: string,
  change: (text: string, users: ReadonlyMap<string, string>) => string,
): void {
  const file = usersFile(readRegistryConfig(host, directory), directory);
  using _lock = host.files.lock(directory, "exclusive", { wait: true });

  const users = readUsers(host, file);
  replaceAccounts(host, file, change(host.files.readTextIfAny(file) ?? "", users));
}

function changeRobots(
  host: AccountsHost,
  directory: string,
  change: (robots: readonly Robot[]) => readonly Robot[],
): void {
  const file = robotsFile(readRegistryConfig(host, directory), directory);
  using _lock = host.files.lock(directory, "exclusive", { wait: true });

  replaceAccounts(host, file, formatRobots(change(readRobots(host, file))));
}

function usersFile(config: RegistryConfig, directory: string): string {
  const file = config.auth?.htpasswd?.file;
  if (file !== undefined) return inDirectory(directory)(file);
  throw new Failure("unsupported", `Cannot use users of "${directory}": its ${CONFIG_NAME} has no [auth.htpasswd]`, {
    hint: 'add to it: [auth.htpasswd] with file = "htpasswd"',
  });
}

function robotsFile(config: RegistryConfig, directory: string): string {
  const file = config.auth?.robots?.file;
  if (file !== undefined) return inDirectory(directory)(file);
  throw new Failure("unsupported", `Cannot use tokens of "${directory}": its ${CONFIG_NAME} has no [auth.robots]`, {
    hint: 'add to it: [auth.robots] with file = "robots.json"',
  });
}

function readUsers(host: Pick<Host, "files">, file: string): ReadonlyMap<string, string> {
  return parsedFile(file, () => parseHtpasswd(host.files.readTextIfAny(file) ?? ""));
}

function readRobots(host: Pick<Host, "files">, file: string): readonly Robot[] {
  return parsedFile(file, () => parseRobots(host.files.readTextIfAny(file) ?? ""));
}

function parsedFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Failure("bad-input", `Cannot use "${file}": it is malformed`, { cause: error });
  }
}

function requireUser(users: ReadonlyMap<string, string>, name: string, verb: string): void {
  if (users.has(name)) return;
  throw new Failure("not-found", `Cannot ${verb} user ${JSON.stringify(name)}: there is none of this name`);
}

/** A server with its own user may read the file as its owner or through its group: both stay as they were set. */
function replaceAccounts(host: AccountsHost, file: string, text: string): void {
  keepingOwner(host).replace(file, text, { mode: host.files.stat(file)?.mode ?? 0o600 });
}

/**
 * Machine state that a disk starts with: users, SSH keys, host name, written into the staged /etc and /var of its first deployment.
 *
 * Homes lie in /var (the image's /home and /root are links there). A user in a group that rules over sudo has no password to type, so it
 * gets a sudoers rule without one, as cloud images do.
 *
 * The staged tree comes from an image that may be hostile: nothing here follows a symlink of it, which would lead into the host.
 */
import { Failure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";
import { type AccountFiles, addAccount } from "./accounts.ts";
import type { DiskRequest, UserRequest } from "./request.ts";

export interface StagedState {
  /** Absolute path of the deployment's /etc. */
  readonly etc: string;
  /** Absolute path of the machine's /var. */
  readonly var: string;
  /** Login shell of users. */
  readonly shell: string;
}

const SUDO_GROUPS: readonly string[] = ["sudo", "wheel", "admin"];

export function writeMachineState(files: Files, state: StagedState, request: DiskRequest): void {
  if (request.hostname !== undefined)
    writeFile(files, `${state.etc}/hostname`, `${request.hostname}\n`, { mode: 0o644, id: 0 });
  if (request.rootAuthorizedKeys !== "") {
    const home = `${state.var}/roothome`;
    ownDirectory(files, home, { mode: 0o700, id: 0 });
    writeKeys(files, home, { keys: request.rootAuthorizedKeys, id: 0 });
  }
  for (const user of request.users) addUser(files, state, user);
}

function addUser(files: Files, state: StagedState, user: UserRequest): void {
  const before = readAccounts(files, state.etc);
  const account = { name: user.name, groups: user.groups, home: `/home/${user.name}`, shell: state.shell };
  const { files: after, id } = addAccount(before, account);
  writeAccounts(files, state.etc, after);
  if (files.lstat(`${state.var}/home`) === undefined) ownDirectory(files, `${state.var}/home`, { mode: 0o755, id: 0 });
  requireDirectory(files, `${state.var}/home`);
  const home = `${state.var}/home/${user.name}`;
  if (files.lstat(home) !== undefined)
    throw new Failure("conflict", `Cannot add user "${user.name}": the image has /var/home/${user.name}`);
  ownDirectory(files, home, { mode: 0o700, id });
  copySkeleton(files, `${state.etc}/skel`, { home, id });
  if (user.authorizedKeys !== "") writeKeys(files, home, { keys: user.authorizedKeys, id });
  if (user.groups.some((group) => SUDO_GROUPS.includes(group))) allowSudo(files, state.etc, user.name);
}

function readAccounts(files: Files, etc: string): AccountFiles {
  const read = (name: string): string => {
    const kind = files.lstat(`${etc}/${name}`)?.kind;
    if (kind !== "file")
      throw new Failure(
        "bad-input",
        `Cannot add a user: /etc/${name} of the image is ${kind ?? "missing"}, wanted a file`,
      );
    return files.readText(`${etc}/${name}`);
  };
  const hasGshadow = files.lstat(`${etc}/gshadow`) !== undefined;
  return {
    passwd: read("passwd"),
    group: read("group"),
    shadow: read("shadow"),
    gshadow: hasGshadow ? read("gshadow") : undefined,
  };
}

/** Content only: owner and mode stay those of the image. */
function writeAccounts(files: Files, etc: string, accounts: AccountFiles): void {
  for (const [name, text] of Object.entries(accounts)) if (text !== undefined) files.write(`${etc}/${name}`, text);
}

function allowSudo(files: Files, etc: string, name: string): void {
  if (files.lstat(`${etc}/sudoers.d`)?.kind !== "directory") return;
  writeFile(files, `${etc}/sudoers.d/90-berth-${name}`, `${name} ALL=(ALL:ALL) NOPASSWD: ALL\n`, {
    mode: 0o440,
    id: 0,
  });
}

function writeKeys(files: Files, home: string, options: { keys: string; id: number }): void {
  const directory = `${home}/.ssh`;
  const path = `${directory}/authorized_keys`;
  ownDirectory(files, directory, { mode: 0o700, id: options.id });
  const before = files.lstat(path)?.kind === "file" ? files.readText(path) : "";
  writeFile(files, path, `${before}${options.keys}`, { mode: 0o600, id: options.id });
}

/** Replaces what is there, be it a symlink. */
function writeFile(files: Files, path: string, text: string, options: { mode: number; id: number }): void {
  files.remove(path);
  files.write(path, text, { mode: options.mode });
  own(files, path, options);
}

/** Regular files and links of /etc/skel, with the modes that they have there. */
function copySkeleton(files: Files, skel: string, options: { home: string; id: number }): void {
  if (files.lstat(skel)?.kind !== "directory") return;
  for (const name of files.list(skel)) {
    const from = `${skel}/${name}`;
    const to = `${options.home}/${name}`;
    const stat = files.lstat(from);
    if (stat?.kind === "file") {
      files.copy(from, to);
      own(files, to, { mode: stat.mode, id: options.id });
      files.setTimes(to, stat.mtimeSec, stat.mtimeNsec);
    } else if (stat?.kind === "symlink") {
      files.symlink(files.readlink(from), to);
      files.chown(to, options.id, options.id);
    } else if (stat?.kind === "directory") {
      ownDirectory(files, to, { mode: stat.mode, id: options.id });
      copySkeleton(files, from, { home: to, id: options.id });
    }
  }
}

/** A directory of this owner and mode, made when missing; its parent exists. */
function ownDirectory(files: Files, path: string, options: { mode: number; id: number }): void {
  if (files.lstat(path) === undefined) files.makeDirectory(path);
  requireDirectory(files, path);
  own(files, path, options);
}

function requireDirectory(files: Files, path: string): void {
  const kind = files.lstat(path)?.kind;
  if (kind === "directory") return;
  throw new Failure(
    "bad-input",
    `Cannot write the machine's state to "${path}": the image has a ${kind} there, wanted a directory`,
  );
}

function own(files: Files, path: string, options: { mode: number; id: number }): void {
  files.chown(path, options.id, options.id);
  files.chmod(path, options.mode);
}

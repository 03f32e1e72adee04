/**
 * resolveUser(): the numbers that a `user[:group]` means in a root file system.
 *
 * @see OCI image-spec config.md, "User"; passwd(5), group(5)
 */
import { Failure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";
import { join, resolveInRoot } from "../host/resolve-in-root.ts";

export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  /** Other groups that name the user. */
  readonly additionalGids: readonly number[];
  readonly home: string;
}

/** Failure "not-found" for a name that the file system does not know. A number needs no entry. */
export function resolveUser(files: Files, rootfs: string, text: string): ContainerUser {
  const [userText = "", groupText] = text === "" ? ["0"] : text.split(":", 2);
  const users = readTable(files, rootfs, "/etc/passwd");
  const groups = readTable(files, rootfs, "/etc/group");
  const isNumber = /^\d+$/.test(userText);
  const user =
    users.find((fields) => fields[0] === userText) ?? users.find((fields) => isNumber && fields[2] === userText);
  if (user === undefined && !isNumber) {
    throw new Failure("not-found", `Cannot run as user "${userText}": the image's /etc/passwd does not have it`);
  }
  const uid = Number(user?.[2] ?? userText);
  const name = user?.[0];
  const gid = groupText === undefined || groupText === "" ? Number(user?.[3] ?? 0) : groupNumber(groups, groupText);
  const additionalGids =
    groupText !== undefined || name === undefined
      ? []
      : groups
          .filter((fields) => (fields[3] ?? "").split(",").includes(name))
          .map((fields) => Number(fields[2]))
          .filter((id) => Number.isInteger(id) && id !== gid);
  return { uid, gid, additionalGids, home: user?.[5] || (uid === 0 ? "/root" : "/") };
}

function groupNumber(groups: readonly (readonly string[])[], text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  const group = groups.find((fields) => fields[0] === text);
  if (group === undefined)
    throw new Failure("not-found", `Cannot run as group "${text}": the image's /etc/group does not have it`);
  return Number(group[2]);
}

function readTable(files: Files, rootfs: string, path: string): string[][] {
  const { path: inside, stat } = resolveInRoot(files, rootfs, path);
  const text = stat?.kind === "file" ? files.readText(join(rootfs, inside)) : "";
  return text
    .split("\n")
    .map((line) => line.split(":"))
    .filter((fields) => fields.length >= 4);
}

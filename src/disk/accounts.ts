/**
 * Accounts added to a deployment's /etc: the text of passwd, group, shadow and gshadow. They are the machine's own state: no later
 * image changes them.
 *
 * @see passwd(5), group(5), shadow(5), gshadow(5)
 */
import { Failure } from "../core/failure.ts";

/** The four files as text; `gshadow` may be missing. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
  readonly shadow: string;
  readonly gshadow: string | undefined;
}

export interface Account {
  readonly name: string;
  readonly groups: readonly string[];
  readonly home: string;
  readonly shell: string;
}

const ID_MIN = 1000;
const ID_MAX = 59999;

/**
 * Adds a user with a group of its own name and no password (`*`: none matches, and the account is not locked for keys).
 * The date of the last change stays empty: 0 would ask for a new password at the first login.
 * Failure "conflict" when user or group exist, "not-found" for a group to join that does not.
 */
export function addAccount(files: AccountFiles, account: Account): { files: AccountFiles; id: number } {
  const what = `Cannot add user "${account.name}"`;
  const users = records(files.passwd);
  const groups = records(files.group);
  if (users.some(([name]) => name === account.name))
    throw new Failure("conflict", `${what}: a user of this name exists`);
  if (groups.some(([name]) => name === account.name))
    throw new Failure("conflict", `${what}: a group of this name exists`);
  for (const wanted of account.groups) {
    if (!groups.some(([name]) => name === wanted)) {
      throw new Failure("not-found", `${what} to group "${wanted}": the image has no such group`);
    }
  }
  const taken = new Set([...users, ...groups].map((fields) => Number(fields[2])));
  let id = ID_MIN;
  while (taken.has(id)) id += 1;
  if (id > ID_MAX) throw new Failure("conflict", `${what}: no user id from ${ID_MIN} to ${ID_MAX} is free`);
  const { name } = account;
  const joined = new Set(account.groups);
  return {
    id,
    files: {
      passwd: append(files.passwd, `${name}:x:${id}:${id}::${account.home}:${account.shell}`),
      shadow: append(files.shadow, `${name}:*::0:99999:7:::`),
      group: append(joinGroups(files.group, joined, name), `${name}:x:${id}:`),
      gshadow: files.gshadow === undefined ? undefined : append(joinGroups(files.gshadow, joined, name), `${name}:!::`),
    },
  };
}

function records(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function append(text: string, line: string): string {
  return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${line}\n`;
}

/** Members are the fourth field of both files. */
function joinGroups(text: string, groups: ReadonlySet<string>, member: string): string {
  const lines = text.split("\n").map((line) => {
    const [name = "", password = "", third = "", members = ""] = line.split(":");
    if (!groups.has(name)) return line;
    return [name, password, third, members === "" ? member : `${members},${member}`].join(":");
  });
  return lines.join("\n");
}

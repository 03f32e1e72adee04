/** `berth registry user list`: who may log in. */
import { textToByteName } from "../../core/bytes.ts";
import { listUsers } from "../../registry/access/accounts.ts";
import { command } from "../command.ts";
import { formatTable } from "../table.ts";

export const registryUserListCommand = command({
  name: "registry user list",
  summary: "List the users of a registry and their groups",
  flags: {},
  operands: [{ name: "DIR", summary: "the registry's folder" }],
  run: async (_values, [directory = ""], context) => listUsers(context.host, textToByteName(directory)),
  view: (users) =>
    formatTable(
      ["USER", "GROUPS"],
      users.map(({ name, groups }) => [name, groups.join(", ")]),
    ),
});

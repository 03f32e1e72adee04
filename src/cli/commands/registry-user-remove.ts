/** `berth registry user remove`: a user who may no longer log in. */
import { textToByteName } from "../../core/bytes.ts";
import { removeUser } from "../../registry/access/accounts.ts";
import { command } from "../command.ts";

export const registryUserRemoveCommand = command({
  name: "registry user remove",
  summary: "Remove a user from a registry",
  description: "The password and every token that it gave stop working at once.",
  flags: {},
  operands: [
    { name: "DIR", summary: "the registry's folder" },
    { name: "NAME", summary: "the user" },
  ],
  run: async (_values, [directory = "", name = ""], context) => {
    removeUser(context.host, textToByteName(directory), name);
    return { name };
  },
  view: ({ name }) => `Removed user ${name}\n`,
});

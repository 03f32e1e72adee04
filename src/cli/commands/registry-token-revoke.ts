/** `berth registry token revoke`: ends an API key. */
import { textToByteName } from "../../core/bytes.ts";
import { revokeRobot } from "../../registry/access/accounts.ts";
import { command } from "../command.ts";

export const registryTokenRevokeCommand = command({
  name: "registry token revoke",
  summary: "End an API key",
  description: "The key, and what a program got with it, stop working at once.",
  flags: {},
  operands: [
    { name: "DIR", summary: "the registry's folder" },
    { name: "NAME", summary: "the token" },
  ],
  run: async (_values, [directory = "", name = ""], context) => {
    revokeRobot(context.host, textToByteName(directory), name);
    return { name };
  },
  view: ({ name }) => `Revoked token ${name}\n`,
});

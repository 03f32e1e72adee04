/** `berth registry token list`: the programs that may log in. */
import { textToByteName } from "../../core/bytes.ts";
import { listRobots } from "../../registry/access/accounts.ts";
import { command } from "../command.ts";
import { formatTable } from "../table.ts";

export const registryTokenListCommand = command({
  name: "registry token list",
  summary: "List the API keys of a registry",
  flags: {},
  operands: [{ name: "DIR", summary: "the registry's folder" }],
  run: async (_values, [directory = ""], context) => listRobots(context.host, textToByteName(directory)),
  view: (robots) =>
    formatTable(
      ["TOKEN", "REPOSITORIES", "ACTIONS", "EXPIRES"],
      robots.map(({ name, repositories, actions, expires, expired }) => [
        name,
        repositories.join(" "),
        actions.join(","),
        expires === undefined ? "never" : `${expires.slice(0, 16)}Z${expired ? " (over)" : ""}`,
      ]),
    ),
});

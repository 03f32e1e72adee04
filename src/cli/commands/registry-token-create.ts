/** `berth registry token create`: an API key for a program. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { createRobot } from "../../registry/access/accounts.ts";
import { compileGlob } from "../../registry/access/glob.ts";
import { parseAction } from "../../registry/access/robots.ts";
import { parseDuration } from "../../registry/config/fields.ts";
import { command } from "../command.ts";

export const registryTokenCreateCommand = command({
  name: "registry token create",
  summary: "Create an API key for a program",
  description:
    "Prints the key, once: the registry keeps only its hash. A program logs in with the token's name as user and the key as\n" +
    "password, and may do what is given here and nothing else.",
  flags: {
    repository: { type: "list", short: "r", value: "GLOB", summary: "Where it may work: team/os, team/*, team/**" },
    allow: { type: "list", value: "ACTION", summary: "pull, push or delete; pull by default" },
    expires: { type: "string", value: "TIME", default: "90d", summary: "How long it is good: 12h, 90d; or never" },
  },
  operands: [
    { name: "DIR", summary: "the registry's folder" },
    { name: "NAME", summary: "the token" },
  ],
  examples: [
    ["berth registry token create /srv/registry ci -r 'team/**' --allow pull --allow push", "for a build machine"],
  ],
  run: async (values, [directory = "", name = ""], context) =>
    createRobot(context.host, textToByteName(directory), {
      name,
      repositories: readFlag("repository", () => {
        if (values.repository.length === 0) throw new SyntaxError("it is absent, wanted at least one");
        values.repository.forEach(compileGlob);
        return values.repository;
      }),
      actions: readFlag("allow", () =>
        values.allow.length === 0 ? ["pull"] : [...new Set(values.allow)].map(parseAction),
      ),
      lifeMs: readFlag("expires", () => (values.expires === "never" ? undefined : parseDuration(values.expires))),
    }),
  view: ({ key }) => `${key}\n`,
});

function readFlag<T>(flag: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Failure("usage", `Cannot use --${flag}`, { cause: error });
  }
}

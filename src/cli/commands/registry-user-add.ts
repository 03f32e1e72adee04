/** `berth registry user add`: one more person who may log in. */
import { textToByteName } from "../../core/bytes.ts";
import { addUser } from "../../registry/access/accounts.ts";
import { command } from "../command.ts";
import { newPassword } from "./_new-password.ts";

export const registryUserAddCommand = command({
  name: "registry user add",
  summary: "Add a user to a registry",
  description: "A registry that is being served knows the user at once. What users may do stands in registry.toml.",
  flags: { "password-stdin": { type: "boolean", summary: "Read the password from standard input" } },
  operands: [
    { name: "DIR", summary: "the registry's folder" },
    { name: "NAME", summary: "the user" },
  ],
  examples: [["echo -n secret | berth registry user add /srv/registry bert --password-stdin", "without a question"]],
  async run(values, [directory = "", name = ""], context) {
    const password = await newPassword(context, values["password-stdin"]);
    await addUser(context.host, textToByteName(directory), name, password);
    return { name };
  },
  view: ({ name }) => `Added user ${name}\n`,
});

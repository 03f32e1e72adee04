/** `berth registry user passwd`: another password for a user. */
import { textToByteName } from "../../core/bytes.ts";
import { setPassword } from "../../registry/access/accounts.ts";
import { command } from "../command.ts";
import { newPassword } from "./_new-password.ts";

export const registryUserPasswdCommand = command({
  name: "registry user passwd",
  summary: "Change a user's password",
  description: "The old password and every token that it gave stop working at once.",
  flags: { "password-stdin": { type: "boolean", summary: "Read the password from standard input" } },
  operands: [
    { name: "DIR", summary: "the registry's folder" },
    { name: "NAME", summary: "the user" },
  ],
  async run(values, [directory = "", name = ""], context) {
    const password = await newPassword(context, values["password-stdin"]);
    await setPassword(context.host, textToByteName(directory), name, password);
    return { name };
  },
  view: ({ name }) => `Changed the password of ${name}\n`,
});

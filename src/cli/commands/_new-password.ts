/** newPassword(): for an account that is made or changed, from standard input or the terminal, asked twice. */
import { Failure } from "../../core/failure.ts";
import type { Context } from "../command.ts";

export async function newPassword(context: Context, fromStdin: boolean): Promise<string> {
  if (fromStdin) return (await context.readStdin()).replace(/\r?\n$/, "");
  const password = await context.ask("Password: ", { hidden: true });
  if ((await context.ask("Again: ", { hidden: true })) !== password) {
    throw new Failure("usage", "Cannot set the password: the two are not the same");
  }
  return password;
}

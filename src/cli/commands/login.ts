/** `berth login`: tries the credentials and keeps them. */
import { Failure } from "../../core/failure.ts";
import { logIn } from "../../remote/login.ts";
import { command } from "../command.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const loginCommand = command({
  name: "login",
  summary: "Log in to a registry",
  description:
    "Tries the credentials against the registry and writes them to the auth.json that podman, skopeo and berth read.",
  flags: {
    username: { type: "string", short: "u", value: "NAME", summary: "User name" },
    password: {
      type: "string",
      short: "p",
      value: "TEXT",
      summary: "Password; other users of this machine can see it",
    },
    "password-stdin": { type: "boolean", summary: "Read the password from standard input" },
    ...REMOTE_FLAGS,
  },
  operands: [{ name: "REGISTRY", summary: "host[:port]" }],
  async run(values, [registry = ""], context) {
    if (values.password !== undefined && values["password-stdin"]) {
      throw new Failure("usage", "Cannot log in: --password and --password-stdin are both given");
    }
    if (values["password-stdin"] && values.username === undefined) {
      throw new Failure("usage", "Cannot log in: --password-stdin needs --username");
    }
    const username = values.username ?? (await context.ask("Username: "));
    const password = values["password-stdin"]
      ? (await context.readStdin()).replace(/\r?\n$/, "")
      : (values.password ?? (await context.ask("Password: ", { hidden: true })));
    const kept = await logIn(remoteContext(context, values), registry, { username, password });
    return { registry, username, ...kept };
  },
  view: () => "Login Succeeded!\n",
});

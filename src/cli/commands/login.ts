/** `berth login`: tries the credentials and keeps them. */
import { Failure } from "../../core/failure.ts";
import { currentLogin, logIn } from "../../remote/login.ts";
import { command, type Context } from "../command.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

interface LoginFlags {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly "password-stdin": boolean;
}

export const loginCommand = command({
  name: "login",
  summary: "Log in to a registry",
  description:
    "Tries the credentials against the registry and writes them to the auth.json that podman, skopeo and berth read, or to the credential helper that is named there or in registries.conf.",
  flags: {
    username: { type: "string", short: "u", value: "NAME", summary: "User name" },
    password: {
      type: "string",
      short: "p",
      value: "TEXT",
      summary: "Password; other users of this machine can see it",
    },
    "password-stdin": { type: "boolean", summary: "Read the password from standard input" },
    "get-login": { type: "boolean", summary: "Print the user name that is logged in, and change nothing" },
    verbose: { type: "boolean", short: "v", summary: "Say where the login was kept" },
    ...REMOTE_FLAGS,
  },
  operands: [{ name: "REGISTRY", summary: "host[:port], or a path below it that the login is for" }],
  examples: [
    ["berth login registry.example.com", "asks for name and password"],
    ["echo -n secret | berth login -u anna --password-stdin registry.example.com", "in a script"],
  ],
  async run(values, [registry = ""], context) {
    const remote = remoteContext(context, values);
    if (values["get-login"]) return { registry, username: await currentLogin(remote, registry), keptIn: undefined };
    const login = await readLogin(values, context);
    const { keptIn } = await logIn(remote, registry, login);
    if (values.verbose) context.progress.say(`Kept in ${keptIn}`);
    return { registry, username: login.username, keptIn };
  },
  view: ({ username, keptIn }) => (keptIn === undefined ? `${username}\n` : "Login Succeeded!\n"),
});

async function readLogin(values: LoginFlags, context: Context): Promise<{ username: string; password: string }> {
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
  return { username, password };
}

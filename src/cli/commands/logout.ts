/** `berth logout`: forgets the credentials of a registry, or all of them. */
import { Failure } from "../../core/failure.ts";
import { logOut, logOutOfAll } from "../../remote/login.ts";
import { command } from "../command.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const logoutCommand = command({
  name: "logout",
  summary: "Forget the login for a registry",
  description:
    "Only the file or helper that login writes to is changed. A login that another program keeps elsewhere is told.",
  flags: {
    all: { type: "boolean", short: "a", summary: "Forget every login" },
    authfile: REMOTE_FLAGS.authfile,
  },
  operands: [{ name: "REGISTRY", summary: "host[:port]", optional: true }],
  async run(values, [registry], context) {
    const remote = remoteContext(context, values);
    if (values.all === (registry !== undefined))
      throw new Failure("usage", "Cannot log out: wanted a REGISTRY or --all");
    if (registry === undefined) {
      await logOutOfAll(remote);
      return { registry: undefined };
    }
    const { stillIn } = await logOut(remote, registry);
    if (stillIn !== undefined) context.progress.warn(`There is still a login for ${registry} in ${stillIn}`);
    return { registry };
  },
  view: ({ registry }) =>
    registry === undefined
      ? "Removed login credentials for all registries\n"
      : `Removed login credentials for ${registry}\n`,
});

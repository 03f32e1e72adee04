/** `berth logout`: forgets the credentials of a registry. */
import { logOut } from "../../remote/login.ts";
import { command } from "../command.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const logoutCommand = command({
  name: "logout",
  summary: "Forget the login for a registry",
  flags: { authfile: REMOTE_FLAGS.authfile },
  operands: [{ name: "REGISTRY", summary: "host[:port]" }],
  async run(values, [registry = ""], context) {
    await logOut(remoteContext(context, { ...values, "tls-verify": undefined }), registry);
    return { registry };
  },
  view: ({ registry }) => `Removed login credentials for ${registry}\n`,
});

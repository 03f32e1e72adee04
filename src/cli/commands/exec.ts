/** `berth exec`: one more command in a container that runs. */
import { findContainer } from "../../containers/containers.ts";
import { execInContainer } from "../../containers/exec.ts";
import { parseEnvironment } from "../../containers/parse-options.ts";
import { resolveUser } from "../../containers/user.ts";
import { Failure } from "../../core/failure.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { endWith } from "../end-with.ts";

export const execCommand = command({
  name: "exec",
  summary: "Run a command in a running container",
  description: "The exit status is the command's; 126: it cannot be run, 127: there is no such program.",
  flags: {
    interactive: { type: "boolean", short: "i", summary: "Give the command our standard input" },
    tty: { type: "boolean", short: "t", summary: "Give the command a terminal" },
    env: { type: "list", short: "e", value: "NAME=VALUE", summary: "Set a variable" },
    workdir: { type: "string", short: "w", value: "DIRECTORY", summary: "Working directory" },
    user: { type: "string", short: "u", value: "USER[:GROUP]", summary: "User, by name or number" },
  },
  operands: [
    { name: "CONTAINER", summary: "name or id" },
    { name: "COMMAND", summary: "what to run", many: true },
  ],
  passthrough: true,
  needsRoot: true,
  examples: [["berth exec -it web bash", "a shell in it"]],
  async run(values, [name = "", ...args], { host, stdinIsTerminal }) {
    if (values.tty && !stdinIsTerminal)
      throw new Failure("usage", "Cannot give the command a terminal: standard input is none", {
        hint: "leave -t out",
      });
    const container = ((): ReturnType<typeof findContainer> => {
      using store = openWorkstationStore(host);
      return findContainer(host, store, name);
    })();
    const root = `/proc/${container.state.process?.pid ?? 0}/root`;
    const user =
      values.user === undefined || container.state.status !== "running"
        ? undefined
        : resolveUser(host.files, root, values.user);
    const status = await execInContainer(host, container, {
      args,
      env: values.env.map((entry) => parseEnvironment(entry, host.env)).filter((entry) => entry !== undefined),
      cwd: values.workdir,
      user: user && `${user.uid}:${user.gid}`,
      terminal: values.tty,
      interactive: values.interactive,
    });
    if (status !== 0) endWith(status);
  },
});

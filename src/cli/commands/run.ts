/** `berth run`: a container of an image. */
import { Failure } from "../../core/failure.ts";
import { parseHostname } from "../../core/host-name.ts";
import { createContainer, removeContainer, startDetached } from "../../containers/containers.ts";
import {
  parseContainerName,
  parseEnvironment,
  parsePublish,
  parseVolume,
  parseWorkdir,
} from "../../containers/parse-options.ts";
import {
  bootId,
  type ContainerRecord,
  containersDirectory,
  initialState,
  readState,
  writeState,
} from "../../containers/record.ts";
import { failedState, supervise } from "../../containers/supervise.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { pullImage } from "../../remote/pull.ts";
import type { Store, StoredImage } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { type Context, command, type FlagValues } from "../command.ts";
import { endWith } from "../end-with.ts";
import { findStoredImage, readLocalName } from "../image-names.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

const FLAGS = {
  detach: { type: "boolean", short: "d", summary: "Run in the background and print the container's id" },
  rm: { type: "boolean", summary: "Remove the container when it ends" },
  name: { type: "string", value: "NAME", summary: "Name of the container" },
  publish: {
    type: "list",
    short: "p",
    value: "[IP:]HOST:CONTAINER",
    summary: "Make a port of the container reachable on this machine",
  },
  volume: {
    type: "list",
    short: "v",
    value: "SOURCE:TARGET[:ro]",
    summary: "Mount a file or directory of this machine",
  },
  env: {
    type: "list",
    short: "e",
    value: "NAME=VALUE",
    summary: "Set a variable; NAME alone takes the value it has here",
  },
  entrypoint: { type: "string", value: "PROGRAM", summary: "Run this in place of the image's entrypoint" },
  workdir: { type: "string", short: "w", value: "DIRECTORY", summary: "Working directory" },
  user: { type: "string", short: "u", value: "USER[:GROUP]", summary: "User, by name or number" },
  hostname: { type: "string", value: "NAME", summary: "Host name" },
  network: {
    type: "string",
    value: "MODE",
    default: "private",
    choices: ["private", "host", "none"],
    summary: "private: own address, the outside through NAT; host: this machine's; none: loopback only",
  },
  "read-only": { type: "boolean", summary: "The container cannot write to its root file system" },
  interactive: { type: "boolean", short: "i", summary: "Give the container our standard input" },
  tty: { type: "boolean", short: "t", summary: "Give the container a terminal" },
  ...REMOTE_FLAGS,
} as const;

export const runCommand = command({
  name: "run",
  summary: "Run an image as a container",
  description:
    "Without a command the image's own runs; a bootable image boots with systemd. The exit status is the container's; " +
    "125: the container could not be made, 126: the program cannot be run, 127: there is no such program.",
  flags: FLAGS,
  operands: [
    { name: "IMAGE", summary: "name or id; fetched when it is not here" },
    { name: "COMMAND", summary: "in place of the image's own", optional: true, many: true },
  ],
  passthrough: true,
  needsRoot: true,
  examples: [
    ["berth run -d --rm -p 127.0.0.1:8080:80 --name web localhost/web:1", "boot an image, its port 80 on ours"],
    ["berth run --rm localhost/debian-bootc:12 dpkg -l", "one command"],
  ],
  run: (values, [imageName = "", ...args], context) =>
    orExitCode125(() => runContainer(values, imageName, args, context)),
  view: (value) => value?.id,
});

async function runContainer(
  values: FlagValues<typeof FLAGS>,
  imageName: string,
  args: readonly string[],
  context: Context,
): Promise<{ id: string } | undefined> {
  const { host } = context;
  checkTerminal(values, context);
  const options = readOptions(values, context);
  // The container's mounts are this process's own: nothing stays when it ends.
  if (!values.detach) host.mounts.isolate();
  const record = await withStore(context, async (store) => {
    const image = await findOrPull(store, imageName, values, context);
    return createContainer(host, store, { image, imageName: fullName(image, imageName), args, ...options });
  });
  if (values.detach) {
    await withStore(context, (store) => startOrRemove(context, store, record));
    return { id: record.id };
  }
  const status = await runHere(context, record);
  return status === 0 ? undefined : endWith(status);
}

/** The exit status says who failed: 125 is ours, everything else is the container's. */
async function orExitCode125<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure) || error.exitCode !== undefined) throw error;
    throw new Failure(error.code, error.message, {
      ...(error.hint !== undefined && { hint: error.hint }),
      cause: error.cause,
      exitCode: 125,
    });
  }
}

function checkTerminal(values: FlagValues<typeof FLAGS>, context: Context): void {
  if (values.detach && (values.tty || values.interactive)) {
    throw new Failure(
      "usage",
      "Cannot give a terminal to a container in the background: --detach does not go with -i or -t",
      {
        hint: "start it with --detach, then use berth exec -it",
        exitCode: 125,
      },
    );
  }
  if (values.tty && !context.stdinIsTerminal) {
    throw new Failure("usage", "Cannot give the container a terminal: standard input is none", {
      hint: "leave -t out",
      exitCode: 125,
    });
  }
}

function readOptions(
  values: FlagValues<typeof FLAGS>,
  { host }: Context,
): Omit<Parameters<typeof createContainer>[2], "image" | "imageName" | "args"> {
  const { network } = values;
  if (network !== "private" && network !== "host" && network !== "none")
    throw new Failure("usage", `Cannot use network "${network}"`);
  if (values.publish.length > 0 && network !== "private") {
    throw new Failure(
      "usage",
      `Cannot publish ports with --network ${network}: only a container with its own network has ports to publish`,
    );
  }
  return {
    name: values.name === undefined ? undefined : parseContainerName(values.name),
    entrypoint: values.entrypoint === undefined ? undefined : values.entrypoint === "" ? [] : [values.entrypoint],
    env: values.env.map((entry) => parseEnvironment(entry, host.env)).filter((entry) => entry !== undefined),
    cwd: values.workdir === undefined ? undefined : parseWorkdir(values.workdir),
    user: values.user,
    hostname: values.hostname === undefined ? undefined : parseHostname(values.hostname),
    network,
    ports: values.publish.map(parsePublish),
    mounts: values.volume.map(parseVolume),
    readOnly: values["read-only"],
    terminal: values.tty,
    interactive: values.interactive,
    autoRemove: values.rm,
  };
}

/** `web:1` is shown as the `localhost/web:1` that it is. */
function fullName(image: StoredImage, text: string): string {
  return image.names.includes(`localhost/${text}`) ? `localhost/${text}` : text;
}

/** A name without a registry is looked for here only. */
async function findOrPull(
  store: Store,
  name: string,
  values: FlagValues<typeof FLAGS>,
  context: Context,
): Promise<StoredImage> {
  try {
    return findStoredImage(store, name);
  } catch (error) {
    const ref =
      error instanceof Failure && error.code === "not-found" && name.includes("/") ? readLocalName(name) : undefined;
    if (ref === undefined || ref.host === "localhost") throw error;
    context.progress.say(`Trying to pull ${formatImageRef(ref)}...`);
    return await pullImage(remoteContext(context, values), store, ref);
  }
}

async function withStore<Result>(context: Context, work: (store: Store) => Result | Promise<Result>): Promise<Result> {
  using store = openWorkstationStore(context.host);
  return await work(store);
}

async function startOrRemove(context: Context, store: Store, record: ContainerRecord): Promise<void> {
  const { host } = context;
  try {
    await startDetached(host, store, record);
  } catch (error) {
    const container = { record, state: readState(host, containersDirectory(store.path), record.id) };
    if (container.state.status !== "running") await removeContainer(host, store, container);
    throw error;
  }
}

async function runHere(context: Context, record: ContainerRecord): Promise<number> {
  const { host } = context;
  const openStore = (): Store => openWorkstationStore(host);
  try {
    return await supervise(host, record, { detached: false, openStore, pid: process.pid, signal: context.signal });
  } catch (error) {
    if (!record.autoRemove) {
      using store = openStore();
      writeState(host.files, containersDirectory(store.path), record.id, failedState(host, error));
    }
    throw error;
  } finally {
    // It has ended, even where a full disk kept that from its record.
    const state = { ...initialState(bootId(host.files)), status: "exited" } as const;
    if (record.autoRemove) await withStore(context, (store) => removeContainer(host, store, { record, state }));
  }
}

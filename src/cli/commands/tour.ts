/**
 * `berth tour`: the whole story on this machine, with real images, a real registry and a real virtual machine.
 *
 * It plays in a private mount namespace in which the registry's name points to the loopback, so nothing of this machine changes
 * but the store (base images, build results) and the tour's own folder.
 */
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { command } from "../command.ts";
import { createStage, formatTimings, programWords } from "../tour/stage.ts";
import { playStory } from "../tour/story.ts";
import { REGISTRY } from "../tour/texts.ts";

const INSIDE = "BERTH_TOUR_NAMESPACE";

export const tourCommand = command({
  name: "tour",
  summary: "Run the whole story on this machine: build, push, deploy to a VM, upgrade, roll back, switch",
  description:
    "Builds Debian base images and the tutorial's web server, tests it as a container, pushes it to a registry of its own, boots it in QEMU,\n" +
    "changes local state, upgrades, rolls back and switches to the next Debian, and checks each promise. A second run re-uses what is built.\n" +
    "What it shows is also kept in transcript.txt in its folder.",
  needsRoot: true,
  flags: {
    dir: {
      type: "string",
      value: "DIR",
      default: "/var/tmp/berth-tour",
      summary: "Folder for the disks, keys and the registry",
    },
    firmware: { type: "string", choices: ["uefi", "bios"], default: "uefi", summary: "What the machine boots with" },
    short: { type: "boolean", summary: "Half of it: no container, no Ansible, no switch to the next Debian" },
    mirror: { type: "string", value: "URL", summary: "Debian mirror (default: the one that apt uses here)" },
  },
  examples: [
    ["berth tour", "everything, over UEFI"],
    ["berth tour --firmware bios --short", "the shorter half, over BIOS"],
  ],
  async run(values, _operands, context) {
    const { host } = context;
    if (host.env[INSIDE] === undefined) return enterNamespace(host, values, context.signal);
    host.files.makeDirectory(values.dir);
    const hosts = `${values.dir}/hosts`;
    host.files.write(
      hosts,
      `127.0.0.1 localhost ${REGISTRY.replace(/:\d+$/, "")}\n${host.files.readTextIfAny("/etc/hosts") ?? ""}`,
    );
    host.mounts.bind(hosts, "/etc/hosts");
    host.files.remove(`${values.dir}/transcript.txt`);
    using transcript = host.files.open(`${values.dir}/transcript.txt`, "create");
    const print = (text: string): void => {
      transcript.write(Buffer.from(text));
      context.print(text);
    };
    const stage = createStage(host, { print, signal: context.signal, folder: values.dir });
    await playStory(stage, {
      firmware: values.firmware === "bios" ? "bios" : "uefi",
      short: values.short,
      mirror: values.mirror,
    });
    print(`\n${formatTimings(stage.timings)}\n`);
  },
});

/** The namespace ends with the tour, and its mounts with it. */
async function enterNamespace(
  host: Host,
  values: { dir: string; firmware: string; short: boolean; mirror: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const again = [
    ...["tour", "--dir", values.dir, "--firmware", values.firmware],
    ...(values.short ? ["--short"] : []),
    ...(values.mirror === undefined ? [] : ["--mirror", values.mirror]),
  ];
  const env = Object.fromEntries(
    Object.entries(host.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const child = host.spawn(["unshare", "--mount", "--propagation", "private", ...programWords(["berth", ...again])], {
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
    env: {
      ...env,
      [INSIDE]: "1",
      REGISTRY_AUTH_FILE: `${values.dir}/login.json`,
      CONTAINERS_REGISTRIES_CONF: `${values.dir}/registries.conf`,
    },
  });
  signal.addEventListener("abort", () => child.kill("SIGTERM"));
  const { exitCode } = await child.ended;
  // The child has told its error.
  if (exitCode !== 0) throw new Failure("check-failed", "The tour did not reach its end", { exitCode });
}

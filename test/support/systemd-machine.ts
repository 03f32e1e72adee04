/**
 * bootSystemd(): an image with its own systemd as init, in a container that may make mounts, so that the sandboxes of units are
 * real; those of `berth run` may not. The kernel's own files stay read-only, and nothing but basic.target is started.
 */
import { byteNameToText } from "../../src/core/bytes.ts";
import type { ExecResult, Host } from "../../src/host/host.ts";
import { ociSpec } from "../../src/containers/bundle.ts";
import { grantableCapabilities } from "../../src/containers/capabilities.ts";
import { crunArgv } from "../../src/containers/crun.ts";
import { openNetwork } from "../../src/containers/network.ts";
import type { Store } from "../../src/store/store.ts";

export interface SystemdMachine extends AsyncDisposable {
  /** Reachable from here. */
  readonly address: string;
  /** Of its root file system, here. */
  readonly root: string;
  /** A command inside, as root. */
  run(argv: readonly string[], options?: { stdin?: string; check?: boolean }): Promise<ExecResult>;
}

const BOOT_MS = 60_000;

/** `imageId` is that of a file system in the store; `directory` takes what the machine writes. */
export async function bootSystemd(
  host: Host,
  store: Store,
  imageId: string,
  directory: string,
): Promise<SystemdMachine> {
  const { files } = host;
  const at = (name: string): string => `${directory}/${name}`;
  await using resources = new AsyncDisposableStack();
  for (const name of ["root", "upper", "work", "crun"]) files.makeDirectory(at(name), { mode: 0o755 });
  const mount = store.mountImage(imageId, at("root"), { upper: at("upper"), work: at("work") });
  resources.defer(() => mount.unmount());
  const id = Buffer.from(host.random(16)).toString("hex");
  const network = await openNetwork(host, id);
  resources.defer(() => network.close());

  files.write(at("config.json"), JSON.stringify(configuration(host, at("root"), { id, network: network.path })));
  const words = ["run", `--bundle=${directory}`, `--pid-file=${at("pid")}`, id];
  const argv = crunArgv(host, { logPath: at("log"), cgroup: true, state: at("crun") }, words);
  const init = host.spawn(argv, { stdout: { file: at("console") }, stderr: { file: at("console") } });
  resources.defer(async () => {
    const pid = Number(files.readTextIfAny(at("pid")) ?? 0);
    if (pid > 0) host.kill(pid, "SIGKILL");
    else init.kill("SIGKILL");
    await init.ended;
  });

  const run: SystemdMachine["run"] = async (command, options = {}) => {
    const entered = ["nsenter", `--target=${files.readText(at("pid"))}`, "--all", "--", ...command];
    return host.exec(entered, { timeoutMs: BOOT_MS, ...options });
  };
  const state = async (): Promise<string> =>
    files.exists(at("pid"))
      ? (await run(["systemctl", "is-system-running"], { check: false })).stdout.toString().trim()
      : "no process";
  const deadline = host.clock.elapsed() + BOOT_MS;
  while (!/^(?:running|degraded)$/.test(await state())) {
    if (host.clock.elapsed() > deadline) throw new Error(`systemd did not boot: ${files.readText(at("console"))}`);
    await host.clock.sleep(100);
  }
  const held = resources.move();
  return { address: network.address, root: at("root"), run, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** What `berth run` makes for an init, but with the right to mount. */
function configuration(host: Host, root: string, container: { id: string; network: string }): object {
  const spec = ociSpec({
    rootfs: byteNameToText(root),
    args: ["/sbin/init", "--unit=basic.target"],
    env: [],
    cwd: "/",
    user: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
    hostname: "machine",
    terminal: false,
    readOnly: false,
    capabilities: [...grantableCapabilities(host.files), "CAP_SYS_ADMIN"],
    network: { path: container.network },
    mounts: [],
    systemd: { uuid: container.id },
    cgroupPath: `/berth/${container.id}`,
  });
  // The profile refuses mount(2).
  return { ...spec, linux: { ...spec.linux, seccomp: undefined } };
}

/** createPodman(): Debian's podman with a storage, a login and certificates of its own; for images, not for containers. */
import type { Host } from "../../src/host/host.ts";
import type { LoginRegistry } from "./login-registry.ts";

export interface Podman {
  /** Its standard output, without the last newline. Failure "exec-failed". */
  run(...words: readonly string[]): Promise<string>;
  /** Asks for the password. */
  logIn(): Promise<string>;
  /** Where its tools find login and certificates. */
  readonly env: Readonly<Record<string, string>>;
  /** What names an image in its storage to other programs, before the image's own name. */
  readonly storage: string;
}

/** `directory` takes all that it keeps. */
export function createPodman(host: Host, directory: string, registry: LoginRegistry): Podman {
  const at = (name: string): string => `${directory}/${name}`;
  for (const name of ["home/.config/containers", "run"]) host.files.makeDirectory(at(name), { mode: 0o700 });
  host.files.symlink(registry.certificates, at("home/.config/containers/certs.d"));
  const [graph, run] = [at("graph"), at("run/storage")];
  host.files.write(at("storage.conf"), `[storage]\ndriver = "vfs"\ngraphroot = "${graph}"\nrunroot = "${run}"\n`);
  const env = {
    PATH: host.env["PATH"] ?? "",
    HOME: at("home"),
    XDG_RUNTIME_DIR: at("run"),
    CONTAINERS_STORAGE_CONF: at("storage.conf"),
  };
  const podman = async (words: readonly string[], stdin = ""): Promise<string> =>
    (await host.exec(["podman", ...words], { timeoutMs: 60_000, env, stdin })).stdout.toString().trimEnd();
  return {
    run: (...words) => podman(words),
    logIn: () =>
      podman(["login", "--username", registry.user, "--password-stdin", registry.address], registry.password),
    env,
    storage: `containers-storage:[vfs@${graph}+${run}]`,
  };
}

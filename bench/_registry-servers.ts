/** For registry.ts: berth's registry and Debian's docker-registry as processes over fresh folders, and what the kernel says of them. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLinuxHost } from "../src/host/linux.ts";
import { initRegistry } from "../src/registry/init.ts";
import { startDockerRegistry } from "../test/support/docker-registry.ts";

export const CREDENTIALS = { user: "anna", password: "secret" };
export const NAMES = ["berth", "docker-registry"] as const;
export type Name = (typeof NAMES)[number];

export interface Server extends AsyncDisposable {
  readonly name: Name;
  readonly url: string;
  /** PEM; empty without TLS. */
  readonly ca: string;
  /** User and system time of the process so far. */
  cpuMs(): number;
  /** VmHWM. */
  peakMiB(): number;
}

const host = createLinuxHost();
const root = join(import.meta.dirname, "..");

/** Both have one user with the same bcrypt cost, TLS or not as `tls` says, and an empty storage below `directory`. */
export async function startServer(name: Name, directory: string, tls: boolean): Promise<Server> {
  host.files.makeDirectory(directory);
  if (name === "berth") return startBerth(directory, tls);
  const peer = await startDockerRegistry(host, directory, { ...CREDENTIALS, tls });
  return {
    name,
    url: peer.url,
    ca: peer.ca,
    ...observe(peer.pid),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

async function startBerth(directory: string, tls: boolean): Promise<Server> {
  const path = join(directory, "registry");
  const { certificate } = await initRegistry(host, path, { ...CREDENTIALS, hostnames: [], tls });
  // The same bcrypt cost as the peer: htpasswd's default.
  const { stdout } = await host.exec(["htpasswd", "-niB", CREDENTIALS.user], {
    stdin: CREDENTIALS.password,
    timeoutMs: 10_000,
  });
  writeFileSync(join(path, "htpasswd"), stdout);
  const argv = [join(root, "dist/berth.mjs"), "registry", "serve", "--quiet", "--listen", "127.0.0.1:0", path];
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...argv], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once("exit", () => reject(new Error("berth registry serve ended")));
    child.stdout.on("data", (chunk: Buffer) => {
      const found = /on (https?:\S+)/.exec(chunk.toString())?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  return {
    name: "berth",
    url,
    ca: certificate === undefined ? "" : readFileSync(certificate, "utf8"),
    ...observe(child.pid ?? 0),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function observe(pid: number): Pick<Server, "cpuMs" | "peakMiB"> {
  return {
    cpuMs() {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      // utime and stime, in ticks of 10 ms.
      return (Number(fields[11]) + Number(fields[12])) * 10;
    },
    peakMiB() {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    },
  };
}

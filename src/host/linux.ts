/** createLinuxHost(): the real world behind the Host interface. */
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../core/failure.ts";
import type { Clock, Host } from "./host.ts";
import { exec, kill, spawnChild, which } from "./linux-exec.ts";
import { createLinuxFiles } from "./linux-files.ts";
import { createLinuxMounts } from "./linux-mounts.ts";
import { createLinuxNetwork } from "./linux-network.ts";

export function createLinuxHost(): Host {
  return {
    files: createLinuxFiles(),
    mounts: createLinuxMounts(),
    clock,
    network: createLinuxNetwork(),
    env: process.env,
    user: { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 },
    architecture: OCI_ARCHITECTURES[process.arch] ?? process.arch,
    cores: availableParallelism(),
    threads: true,
    exec,
    spawn: spawnChild,
    which,
    random: (sizeBytes) => randomBytes(sizeBytes),
    kill,
  };
}

const clock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: async (durationMs, signal) => {
    try {
      await delay(durationMs, undefined, signal === undefined ? {} : { signal });
    } catch (cause) {
      throw new Failure("aborted", "Cannot wait on: interrupted", { cause });
    }
  },
};

/** Node's names to Go's, which OCI uses. */
const OCI_ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  arm64: "arm64",
  arm: "arm",
  riscv64: "riscv64",
  ppc64: "ppc64le",
  s390x: "s390x",
  loong64: "loong64",
};

/** readHostStatus(): looks at the system and makes its host object. Changes nothing. */
import { isFailure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import type { Host } from "../host/host.ts";
import { readDeployments } from "./deployments.ts";
import { detectBootloader, detectEnvironment, isReadOnlyMedium, readUsrOverlay } from "./environment.ts";
import { EMPTY_HOST, type HostObject } from "./host-object.ts";
import { openMachine } from "./machine.ts";
import type { Origin } from "./origin.ts";
import { createStatus } from "./status.ts";
import type { StoredImage } from "../store/store.ts";

export interface HostStatusReport {
  readonly host: HostObject;
  /** One line for each thing that was skipped. */
  readonly problems: readonly string[];
}

/** The empty host object on a system that is not deployed from an image; Failure "not-root" on one that is. */
export async function readHostStatus(host: Host, progress: Progress): Promise<HostStatusReport> {
  if (detectEnvironment(host).kind !== "booted") return { host: EMPTY_HOST, problems: [] };
  const mounts = host.mounts.list();
  using machine = await openMachine(host, { access: "read", progress });
  const deployments = readDeployments(host.files, machine.sysroot);
  const problems = [...deployments.problems];
  // A damaged store costs the version, not the answer.
  const imageOf = (origin: Origin): StoredImage | undefined => {
    try {
      return origin.manifestDigest === undefined ? undefined : machine.store.image(origin.manifestDigest);
    } catch (error) {
      if (!isFailure(error)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const status = createStatus({
    deployments,
    imageOf,
    bootloader: detectBootloader(host.files),
    usrOverlay: readUsrOverlay(mounts),
    readOnly: isReadOnlyMedium(mounts),
    architecture: host.architecture,
  });
  return { host: status, problems };
}

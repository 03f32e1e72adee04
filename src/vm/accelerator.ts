/**
 * Which accelerator QEMU can use. A /dev/kvm that opens is not enough: machines without virtualisation extensions may offer one that
 * runs only kernels made for it, and an ordinary guest hangs there. So the processor must have them, too.
 */
import { isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import type { Accelerator } from "./spec.ts";

export function detectAccelerator(host: Pick<Host, "files">): Accelerator {
  const flags = /^flags\s*:(.*)$/m.exec(host.files.readTextIfAny("/proc/cpuinfo") ?? "")?.[1] ?? "";
  const capable = /\s(?:vmx|svm)(?:\s|$)/.test(flags);
  return capable && opens(host, "/dev/kvm") ? "kvm" : "tcg";
}

function opens(host: Pick<Host, "files">, path: string): boolean {
  try {
    host.files.open(path, "read-write").close();
    return true;
  } catch (error) {
    if (isFailure(error)) return false;
    throw error;
  }
}

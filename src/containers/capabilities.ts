/**
 * Capabilities of containers: the fourteen that containers get by default, less those that this machine does not let us give.
 *
 * @see capabilities(7); linux/capability.h
 */
import type { Files } from "../host/host.ts";

/** What a container's root may do. */
export const DEFAULT_CAPABILITIES = [
  "CAP_AUDIT_WRITE",
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_MKNOD",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_RAW",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
] as const;

export type Capability = (typeof DEFAULT_CAPABILITIES)[number];

/** Those that are in our bounding set: asking the kernel for others fails. All of them where /proc does not say. */
export function grantableCapabilities(files: Pick<Files, "readTextIfAny">): Capability[] {
  const status = files.readTextIfAny("/proc/self/status");
  const hex = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status ?? "")?.[1];
  if (hex === undefined) return [...DEFAULT_CAPABILITIES];
  const bounding = BigInt(`0x${hex}`);
  return DEFAULT_CAPABILITIES.filter((name) => ((bounding >> BITS[name]) & 1n) === 1n);
}

const BITS: Readonly<Record<Capability, bigint>> = {
  CAP_CHOWN: 0n,
  CAP_DAC_OVERRIDE: 1n,
  CAP_FOWNER: 3n,
  CAP_FSETID: 4n,
  CAP_KILL: 5n,
  CAP_SETGID: 6n,
  CAP_SETUID: 7n,
  CAP_SETPCAP: 8n,
  CAP_NET_BIND_SERVICE: 10n,
  CAP_NET_RAW: 13n,
  CAP_SYS_CHROOT: 18n,
  CAP_MKNOD: 27n,
  CAP_AUDIT_WRITE: 29n,
  CAP_SETFCAP: 31n,
};

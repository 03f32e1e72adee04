/**
 * The two files that a container gets from outside: /etc/resolv.conf and /etc/hosts.
 *
 * @see resolv.conf(5), hosts(5)
 */
import type { Files } from "../host/host.ts";

/**
 * The host's name servers. A container with its own network cannot reach a resolver on the host's loopback; systemd-resolved
 * writes the servers behind it to a file of its own.
 */
export function resolvConf(files: Pick<Files, "readTextIfAny">, network: "private" | "host" | "none"): string {
  const own = files.readTextIfAny("/etc/resolv.conf") ?? "";
  if (network === "host") return own;
  if (network === "none") return "";
  const isReachable = (line: string): boolean => !/^\s*nameserver\s+(?:127\.|::1)/.test(line);
  const reachable = own.split("\n").filter(isReachable);
  if (reachable.some((line) => /^\s*nameserver\s/.test(line))) return ended(reachable);
  const upstream = (files.readTextIfAny("/run/systemd/resolve/resolv.conf") ?? "").split("\n").filter(isReachable);
  return ended(upstream.some((line) => /^\s*nameserver\s/.test(line)) ? upstream : reachable);
}

export function hostsFile(
  files: Pick<Files, "readTextIfAny">,
  options: { network: "private" | "host" | "none"; hostname: string; address: string | undefined },
): string {
  if (options.network === "host") {
    const own = files.readTextIfAny("/etc/hosts") ?? "";
    return `${own.trimEnd()}\n127.0.1.1\t${options.hostname}\n`;
  }
  return `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${options.address ?? "127.0.1.1"}\t${options.hostname}\n`;
}

function ended(lines: readonly string[]): string {
  return `${lines.join("\n").trimEnd()}\n`;
}

/**
 * ssh to a machine of ours: always to 127.0.0.1 at the forwarded port. Host keys are not checked or kept: the way leads through QEMU's
 * own network, and machines come and go on the same ports.
 */
import { digestHex, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";

export interface SshTarget {
  readonly port: number;
  readonly user: string;
  /** Private key file; without one ssh uses the user's agent and default keys. */
  readonly key: string | undefined;
  /** Directory for the socket of a connection that is kept for a minute: the next command needs no new login. */
  readonly share?: string;
}

/** `command`: one string for the remote shell; undefined for an interactive session. */
export function sshArgv(target: SshTarget, command: string | undefined): readonly string[] {
  const options = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "ConnectTimeout=20",
    "BatchMode=yes",
    // The cheapest cipher for a processor that is emulated.
    "Ciphers=^aes128-ctr",
    ...(target.key === undefined ? [] : ["IdentitiesOnly=yes"]),
    ...(target.share === undefined ? [] : sharing(target.share, target)),
  ];
  return [
    "ssh",
    "-F",
    "none",
    "-p",
    String(target.port),
    ...options.flatMap((option) => ["-o", option]),
    ...(target.key === undefined ? [] : ["-i", target.key]),
    `${target.user}@127.0.0.1`,
    ...(command === undefined ? [] : ["--", command]),
  ];
}

const SOCKET_PREFIX = "ssh-";

/** Ends the shared connections of a machine: before it starts, or before a snapshot that knows nothing of them takes its place. */
export async function endSharedConnections(
  host: Pick<Host, "exec" | "files">,
  directory: string,
  options: { signal: AbortSignal },
): Promise<void> {
  for (const name of host.files.listIfAny(directory)) {
    if (!name.startsWith(SOCKET_PREFIX)) continue;
    const socket = `${directory}/${name}`;
    const argv = ["ssh", "-F", "none", "-o", `ControlPath=${socket}`, "-O", "exit", "127.0.0.1"];
    await host.exec(argv, { timeoutMs: 10_000, signal: options.signal, check: false });
    // A connection that is dying already does not answer; nobody may find its socket.
    host.files.remove(socket);
  }
}

/** Logins with another key never share a connection. A connection to a machine that went away ends within 20 s. */
function sharing(directory: string, target: SshTarget): readonly string[] {
  const who = digestHex(digestOf(`${target.user} ${target.key ?? ""}`)).slice(0, 8);
  return [
    "ControlMaster=auto",
    `ControlPath=${directory}/${SOCKET_PREFIX}${who}`,
    "ControlPersist=60",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=4",
  ];
}

/** A word that the remote shell takes as it is. */
export function quoteWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Does an sshd greet at this port? One connection, given up after `timeoutMs`. */
export async function greets(
  host: Pick<Host, "network">,
  port: number,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<boolean> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  try {
    using connection = await host.network.connect({ host: "127.0.0.1", port }, { signal });
    let text = "";
    for await (const chunk of connection.input) {
      text += Buffer.from(chunk).toString("latin1");
      if (text.length >= 4) return text.startsWith("SSH-");
    }
    return false;
  } catch (error) {
    options.signal.throwIfAborted();
    if (isFailure(error, "network") || isFailure(error, "aborted")) return false;
    throw error;
  }
}

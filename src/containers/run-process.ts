/**
 * runBundle(): one process in a container made of a mounted root file system, to its end: what the builder's RUN steps are.
 *
 * Nothing of the container stays in the root file system except what the process itself wrote: mount points that had to be made
 * are removed again.
 *
 * @see OCI runtime-spec config.md
 */
import type { Host } from "../host/host.ts";

export interface BundleMount {
  readonly kind: "bind" | "tmpfs";
  /** Absolute path on the host; for `bind` only. */
  readonly source?: string;
  /** Absolute path in the container. Missing mount points are made, and removed afterwards. */
  readonly target: string;
  readonly readOnly?: boolean;
  /** For `tmpfs`. */
  readonly sizeBytes?: number;
  readonly mode?: number;
}

export interface RunBundleOptions {
  /** Absolute path of the root file system: a mount or directory that is writable (unless `readOnly`). */
  readonly rootfs: string;
  readonly args: readonly string[];
  /** `NAME=value`, as in an image config. PATH is added when it is missing. */
  readonly env: readonly string[];
  /** Absolute path in the container; made when missing. Default `/`. */
  readonly cwd?: string;
  /** `user[:group]`, names or numbers, as in an image config; resolved in the root file system. Default root. */
  readonly user?: string;
  readonly mounts?: readonly BundleMount[];
  /** private: own network that reaches the outside. host: the host's. none: loopback only. */
  readonly network: "private" | "host" | "none";
  readonly hostname?: string;
  readonly readOnly?: boolean;
  /** Default: closed (end of file at once). */
  readonly stdin?: Uint8Array | string;
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly onStderr?: (chunk: Uint8Array) => void;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; default: none. */
  readonly timeoutMs?: number;
}

/**
 * A non-zero exit is a result, 128+n when a signal ended the process; 126 and 127 as a shell. A Failure is thrown when the
 * container could not be made ("exec-failed", "missing-tool") or was interrupted ("aborted").
 */
export declare function runBundle(host: Host, options: RunBundleOptions): Promise<{ readonly exitCode: number }>;

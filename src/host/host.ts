/**
 * Host: the world behind one interface. `linux.ts` is the real one; `fake.ts` is in memory, with seeded faults.
 *
 * Everything in ring 3 receives a Host, or the narrowest part of it. File calls are synchronous on purpose: after
 * `unshare` or `setns` only synchronous calls see the new mount namespace (libuv's threads stay in the old one), they are faster
 * for many small files, and a fake with a crash point at each of them is deterministic. Bytes that flow (network, large blobs)
 * use the streams below.
 *
 * Paths are byte strings (latin1, see core/bytes.ts): what the kernel gives and takes, one byte a character. A path that a
 * person wrote passes `textToByteName` once, in the CLI.
 */
import type { FileVersion } from "./file-version.ts";
import type { Digest, DigestAlgorithm } from "../core/digest.ts";
import type { Xattrs } from "../tree/node.ts";
import type { Bucket, BucketOptions } from "./bucket.ts";

export interface Host {
  readonly files: Files;
  readonly mounts: Mounts;
  readonly clock: Clock;
  readonly network: Network;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly user: { readonly uid: number; readonly gid: number };
  /** OCI architecture name: amd64, arm64, ... */
  readonly architecture: string;
  readonly cores: number;
  /** Worker threads that open files themselves see the same world: true only on the real host. */
  readonly threads?: boolean;
  /** Runs a program to its end. A non-zero exit is a Failure "exec-failed" unless `check: false`. */
  exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
  /** Starts a program and returns at once. */
  spawn(argv: readonly string[], options: SpawnOptions): Child;
  /** Absolute path of a program in PATH, or undefined. */
  which(program: string): string | undefined;
  /** Cryptographically random bytes. */
  random(sizeBytes: number): Uint8Array;
  /** Sends a signal to a process; false when there is none of this pid. Signal 0 asks only. */
  kill(pid: number, signal: NodeJS.Signals | number): boolean;
}

export type FileKind = "file" | "directory" | "symlink" | "char" | "block" | "fifo" | "socket";

export interface FileStat {
  readonly kind: FileKind;
  /** 07777 only. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Bytes on disk (st_blocks * 512). */
  readonly allocatedBytes: number;
  readonly nlink: number;
  /** Kernel 32-bit encoding, as tree/node.ts. */
  readonly rdev: number;
  readonly dev: number;
  readonly ino: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
}

/** A missing file is `undefined` where the return type says so, and a Failure "not-found" elsewhere. Errors name path and call. */
export interface Files {
  read(path: string): Buffer;
  /** Content as UTF-8. */
  readText(path: string): string;
  /** undefined when the file, or a directory on the way, is missing. */
  readTextIfAny(path: string): string | undefined;
  /** Creates or truncates. Not atomic, not synced: for scratch files. */
  write(path: string, content: Uint8Array | string, options?: { mode?: number }): void;
  /**
   * Temporary file beside it → fsync → rename → fsync of the directory: readers see the old content or the new. A device, FIFO or
   * socket is refused. Without `owner` the new file is ours, whoever had the old one.
   */
  replace(
    path: string,
    content: Uint8Array | string,
    options?: { mode?: number; owner?: { readonly uid: number; readonly gid: number } },
  ): void;
  /** The same for a symlink. */
  replaceSymlink(path: string, target: string): void;
  open(path: string, mode: OpenMode, permissions?: number): OpenFile;
  exists(path: string): boolean;
  /** undefined when missing. Does not follow a final symlink. */
  lstat(path: string): FileStat | undefined;
  stat(path: string): FileStat | undefined;
  /** As stat(), of what tells that a file has changed, and cheaper. */
  version(path: string): FileVersion | undefined;
  /** Names in byte order, without . and .. */
  list(path: string): string[];
  /** As list(), empty when the directory is missing. */
  listIfAny(path: string): string[];
  /** With its parents; existing directories are fine. */
  makeDirectory(path: string, options?: { mode?: number }): void;
  /**
   * A new directory of this prefix, mode 0700, removed (recursively, not crossing mounts) on disposal. Those of the same prefix whose
   * maker was killed are removed first.
   */
  temporaryDirectory(prefix: string): TemporaryDirectory;
  /** Removes a file, link or whole directory; missing is fine. Never follows symlinks; refuses to cross a mount point. */
  remove(path: string): void;
  rename(from: string, to: string): void;
  /** renameat2(RENAME_EXCHANGE): both must exist; atomic. */
  exchange(left: string, right: string): void;
  link(existing: string, path: string): void;
  symlink(target: string, path: string): void;
  readlink(path: string): string;
  realpath(path: string): string;
  makeNode(path: string, kind: "char" | "block" | "fifo" | "socket", mode: number, rdev: number): void;
  chmod(path: string, mode: number): void;
  /** Does not follow symlinks. */
  chown(path: string, uid: number, gid: number): void;
  /** Does not follow symlinks. */
  setTimes(path: string, mtimeSec: number, mtimeNsec: number): void;
  /** All of them; does not follow symlinks. Empty where the file system has none. */
  xattrs(path: string): Xattrs;
  setXattr(path: string, name: string, value: Uint8Array): void;
  removeXattr(path: string, name: string): void;
  /** Copies content and holes within the kernel (reflink where the file system can). */
  copy(from: string, to: string): void;
  truncate(path: string, sizeBytes: number): void;
  /** fsync of a file or a directory. */
  sync(path: string): void;
  /** The same while this thread goes on with other work: for large files of a server. */
  syncInBackground(path: string): Promise<void>;
  /** syncfs of the file system that holds `path`. */
  syncFileSystem(path: string): void;
  /** flock; waits when `wait`, else Failure "busy". The file is created when missing; a directory may be locked. */
  lock(path: string, how: "shared" | "exclusive", options: { wait: boolean }): Lock;
  space(path: string): { readonly freeBytes: number; readonly totalBytes: number };
  /** FS_IOC_ENABLE_VERITY with 4096-byte blocks; "unsupported" when the kernel or file system cannot. */
  enableVerity(path: string, algorithm: "sha256" | "sha512"): "enabled" | "unsupported";
  /** FS_IOC_MEASURE_VERITY as lower-case hex; undefined when the file has no fs-verity. */
  measureVerity(path: string): string | undefined;
  /** Streams for large content. `start` and `end` in bytes, end exclusive. */
  readStream(path: string, range?: { start?: number; end?: number }): FileStream;
  /** Hashes a file that grows, in another thread where there are threads. The file need not exist yet. */
  openDigester(path: string, algorithm: DigestAlgorithm): FileDigester;
}

/** A part of a file, read as it is wanted. */
export interface FileStream extends AsyncIterable<Uint8Array> {
  /** The same, each piece in `buffer`: it is good until the next one is asked for. */
  into(buffer: Uint8Array): AsyncIterable<Uint8Array>;
}

export interface FileDigester extends Disposable {
  /** The file's first `sizeBytes` are written and stay as they are. */
  grown(sizeBytes: number): void;
  /** Of the first `sizeBytes`. */
  digest(sizeBytes: number): Promise<Digest>;
}

export type OpenMode = "read" | "write" | "create" | "append" | "read-write";

export interface OpenFile extends Disposable {
  readonly path: string;
  /** Returns the bytes read: fewer than asked for at the end of the file. */
  read(into: Uint8Array, positionBytes?: number): number;
  write(bytes: Uint8Array, positionBytes?: number): void;
  /** The pieces one after the other, without joining them in memory. */
  writeAll(pieces: readonly Uint8Array[], positionBytes: number): void;
  sizeBytes(): number;
  sync(): void;
  close(): void;
}

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
}

export interface Lock extends Disposable {
  release(): void;
}

/** Mounts are undone on disposal; a failed unmount is an error. Targets must exist. */
export interface Mounts {
  /** An EROFS image file, read-only. */
  erofs(image: string, target: string): Mount;
  overlay(options: OverlayOptions, target: string): Mount;
  bind(source: string, target: string, options?: { readOnly?: boolean; recursive?: boolean }): Mount;
  tmpfs(target: string, options?: { sizeBytes?: number; mode?: number }): Mount;
  /** Any other file system. */
  mount(options: { type: string; source: string; target: string; data?: string; readOnly?: boolean }): Mount;
  /** Makes an existing mount writable or read-only (bind remount: the file system itself stays as it is). */
  remount(target: string, access: "read-only" | "read-write"): void;
  /**
   * unshare(CLONE_NEWNS) and a recursive private remount: what is mounted or remounted afterwards is seen by this thread and by what
   * it starts, and by nobody else. Called at a command's start, before anything asynchronous, and once.
   */
  isolate(): void;
  /** Lines of /proc/self/mountinfo, parsed. */
  list(): MountInfo[];
  unmount(target: string, options?: { detach?: boolean }): void;
}

export interface OverlayOptions {
  /** Shown as the mount's source, e.g. `composefs:<id>`. */
  readonly source: string;
  /** Top first. */
  readonly lower: readonly string[];
  /** Data-only layers: the objects directories of composefs. */
  readonly data?: readonly string[];
  readonly upper?: string;
  readonly work?: string;
  readonly readOnly?: boolean;
  /** verity=require; check with `files.measureVerity` first: kernels without fs-verity fail only at open. */
  readonly verity?: boolean;
}

export interface Mount extends Disposable {
  readonly target: string;
  unmount(): void;
}

export interface MountInfo {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly options: string;
  readonly superOptions: string;
}

export interface ExecOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** How a timeout or an abort ends it; SIGTERM by default, and SIGKILL when that does not. */
  readonly endWith?: "SIGTERM" | "SIGKILL";
  readonly cwd?: string;
  /** Replaces the environment; the default is the host's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array | string | AsyncIterable<Uint8Array>;
  /** false: a non-zero exit is a result, not a Failure. */
  readonly check?: boolean;
  /** Called as output arrives; without it output is collected in the result. */
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly onStderr?: (chunk: Uint8Array) => void;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly signal: string | undefined;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export interface SpawnOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** "inherit" gives the child our terminal; a path appends to that file; "pipe" gives streams; default "ignore". */
  readonly stdin?: "inherit" | "ignore" | "pipe";
  readonly stdout?: "inherit" | "ignore" | "pipe" | { readonly file: string };
  readonly stderr?: "inherit" | "ignore" | "pipe" | { readonly file: string };
  /** The child outlives us: own session, not waited for. */
  readonly detached?: boolean;
}

export interface Child {
  readonly pid: number;
  readonly stdout: AsyncIterable<Uint8Array> | undefined;
  readonly stderr: AsyncIterable<Uint8Array> | undefined;
  /** Writes to the child's stdin (with stdin: "pipe"). */
  write(bytes: Uint8Array | string): Promise<void>;
  endInput(): void;
  kill(signal: NodeJS.Signals | number): void;
  readonly ended: Promise<{ readonly exitCode: number; readonly signal: string | undefined }>;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Monotonic milliseconds, for durations. */
  elapsed(): number;
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export interface Network {
  /** One HTTP/1.1 exchange over a kept-alive connection. Redirects are not followed. Failure "network" when no answer came. */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Serves until disposed; resolves once it listens. */
  serve(handler: HttpHandler, options: ServeOptions): Promise<HttpServer>;
  /** A plain byte connection (QMP, a VM's console, an ssh banner). Failure "network" when nobody listens. */
  connect(target: ConnectTarget, options?: { signal?: AbortSignal | undefined }): Promise<Connection>;
  /** Carries TCP connections from one address to another until closed. Port 0 picks a free one. Failure "busy" for a port in use. */
  forward(from: Address, to: Address): Promise<Forward>;
  /** Asks the store once. Failure "not-found" (no such bucket), "unauthorized", "denied", "network". */
  openBucket(options: BucketOptions): Promise<Bucket>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Forward extends AsyncDisposable {
  /** The port that it listens on. */
  readonly port: number;
  /** Ends running connections too. */
  close(): Promise<void>;
}

export type ConnectTarget = { readonly unix: string } | { readonly host: string; readonly port: number };

/** Bytes both ways; `input` ends when the other side closes. */
export interface Connection extends Disposable {
  readonly input: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array | string): Promise<void>;
  close(): void;
}

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly tls?: ClientTls;
  readonly signal?: AbortSignal | undefined;
  /** For a new connection and its TLS handshake; with a proxy in between, for the way to the proxy and its answer. */
  readonly connectTimeoutMs?: number;
  /** No byte for this long ends the exchange. */
  readonly idleTimeoutMs?: number;
}

export interface ClientTls {
  /** PEM certificates to trust besides the system's. */
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  /** Accept any certificate. */
  readonly insecure?: boolean;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Must be read to its end, or `discard()`ed. */
  readonly body: AsyncIterable<Uint8Array>;
  discard(): void;
}

export type HttpHandler = (request: ServerRequest, peer: Peer) => Promise<ServerResponse>;

/** The client at the other end of a server's connection. */
export interface Peer {
  readonly address: string;
  /** Common name of a client certificate that the server's `clientCa` has signed. */
  readonly certificateName?: string | undefined;
}

/**
 * What a handler is given. A web Request is one; the server's own is lighter, because a Request and its Headers cost more than the rest
 * of a small answer.
 */
export interface ServerRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  /** null when the request has none. May be read once. */
  readonly body: AsyncIterable<Uint8Array> | null;
  /** Aborted when the client goes away before the answer is complete. */
  readonly signal: AbortSignal;
}

/** What a handler answers. A web Response is one; bytes that are in memory are sent without a stream around them. */
export interface ServerResponse {
  readonly status: number;
  readonly headers: ServerHeaders;
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | null;
}

/** Names are in lower case. A web Headers is one, and a Map, which costs a tenth. */
export interface ServerHeaders extends Iterable<[string, string]> {
  get(name: string): string | null | undefined;
  has(name: string): boolean;
  set(name: string, value: string): unknown;
}

export interface ServeOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly tls?: ServerTls;
  /** Bytes of request headers accepted; 64 KiB by default (1024 ranges need 20 KiB). */
  readonly maxHeaderBytes?: number;
  /** A connection on which no byte moves for this long is closed; two minutes by default. */
  readonly idleTimeoutMs?: number;
}

/** PEM texts. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  /** Clients are asked for a certificate of these authorities; one that is not theirs counts as none. */
  readonly clientCa?: string | undefined;
  /** Who has no certificate cannot connect. */
  readonly clientRequired?: boolean;
}

export interface HttpServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** For connections from now on; running ones go on as they are. Failure "bad-input" for PEM that cannot be used: the old stays. */
  reloadTls(tls: ServerTls): void;
  /** Ends every connection at once. */
  abort(): void;
  /** Stops accepting, lets running requests end, then closes. */
  close(): Promise<void>;
}

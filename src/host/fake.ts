/**
 * createFakeHost(): a Host in memory, for tests. Every mutating call is counted and is a point where the power may go; after that
 * every call is refused until reboot(), and what was not synced may be lost. The clock stands still unless told; randomness comes
 * from the seed; programs and the rest of the network are what the test says.
 *
 * Invariant: a test that leaves something mounted or locked fails (pass `test`, or dispose the host).
 */
import { createHash } from "node:crypto";
import { strict as assert } from "node:assert";
import type { Durability } from "./fake-disk.ts";
import { createFakeFiles } from "./fake-files.ts";
import { createFakeMounts, type FakeMountContent } from "./fake-mounts.ts";
import { createFakeNetwork, type FakeNetworkOptions } from "./fake-network.ts";
import { createFakePrograms, type FakeProgram } from "./fake-programs.ts";
import { createFakeWorld, type FakeCall, type Gate } from "./fake-world.ts";
import type { Clock, Host } from "./host.ts";

export type FakeEntry =
  | string
  | Uint8Array
  | { readonly symlink: string }
  | { readonly directory: true; readonly mode?: number }
  | { readonly content: string | Uint8Array; readonly mode?: number; readonly uid?: number; readonly gid?: number };

export interface FakeHostOptions {
  /** Path to content; parents are made. All of it is durable. */
  readonly files?: Readonly<Record<string, FakeEntry>>;
  readonly programs?: Readonly<Record<string, FakeProgram>>;
  readonly network?: FakeNetworkOptions;
  readonly mountContent?: FakeMountContent;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly architecture?: string;
  readonly cores?: number;
  /** Milliseconds since the epoch at the start. */
  readonly now?: number;
  readonly seed?: number;
  /** Of the disk; no limit without it. */
  readonly totalBytes?: number;
  /** Whether enableVerity works. */
  readonly verity?: boolean;
  /** What survives a power cut besides what was synced. Default pessimistic: nothing. */
  readonly durability?: Durability;
  /** The mutating call (counted from 1) at which the power goes. */
  readonly crashAt?: number;
  /** Before that call took effect, or after (but before it was synced). */
  readonly crashWhen?: "before" | "after";
  /** May throw a Failure in place of any mutating call. */
  readonly onCall?: (call: FakeCall) => void;
  /** Directories that are empty after a reboot. Default /run and /tmp. */
  readonly volatile?: readonly string[];
  /** Pids that kill() finds. */
  readonly processes?: readonly number[];
  /** node:test's context: the test then fails when it leaves something mounted or locked. */
  readonly test?: { after(check: () => void): void };
}

export interface FakeHost extends Host, Disposable {
  readonly clock: FakeClock;
  /** Mutating calls so far, e.g. "rename /a /b". */
  readonly calls: readonly string[];
  readonly executed: readonly (readonly string[])[];
  readonly killed: readonly { readonly pid: number; readonly signal: NodeJS.Signals | number }[];
  readonly crashed: boolean;
  /** The power goes at the `at`-th mutating call from now; undefined: never. */
  crashAt(at: number | undefined, when?: "before" | "after"): void;
  /** Cuts the power now (unless it went already) and switches it on again: unsynced changes, mounts and locks are gone. */
  reboot(): void;
  /** Throws when something is mounted or locked. */
  assertClean(): void;
}

export interface FakeClock extends Clock {
  advance(durationMs: number): void;
}

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

export function createFakeHost(options: FakeHostOptions = {}): FakeHost {
  const gate: Gate = {
    crashed: false,
    mutations: 0,
    crashAt: undefined,
    when: "before",
    calls: [],
    onCall: undefined,
  };
  const clock = createFakeClock(options.now ?? START_MS);
  const world = createFakeWorld(gate, () => clock.now());
  const random = seeded(options.seed ?? 1);
  const fraction = (): number => random(4).readUInt32LE() / 2 ** 32;
  const files = createFakeFiles(world, { totalBytes: options.totalBytes, verity: options.verity ?? false, random });
  const volatile = options.volatile ?? ["/run", "/tmp"];
  for (const directory of volatile) files.makeDirectory(directory);
  for (const [path, entry] of Object.entries(options.files ?? {})) place(files, path, entry);
  world.disk.syncAll();
  const env = options.env ?? {};
  const programs = createFakePrograms(world, options.programs ?? {}, env);
  const killed: { pid: number; signal: NodeJS.Signals | number }[] = [];
  // From here on it counts.
  gate.mutations = 0;
  gate.calls.length = 0;
  gate.crashAt = options.crashAt;
  gate.when = options.crashWhen ?? "before";
  gate.onCall = options.onCall;

  const assertClean = (): void => {
    assert.deepEqual(
      world.mounts.slice(1).map(({ target }) => target),
      [],
      "the test left file systems mounted",
    );
    assert.equal(world.locks.size, 0, "the test left locks held");
  };
  const reboot = (): void => {
    world.disk.crash(options.durability ?? "pessimistic", fraction);
    world.mounts.splice(1);
    world.locks.clear();
    gate.crashed = false;
    gate.crashAt = undefined;
    gate.onCall = undefined;
    for (const path of volatile) {
      for (const name of files.listIfAny(path)) files.remove(`${path}/${name}`);
    }
    world.disk.syncAll();
    gate.onCall = options.onCall;
  };
  options.test?.after(assertClean);

  return {
    files,
    mounts: createFakeMounts(world, options.mountContent ?? (() => undefined)),
    clock,
    network: createFakeNetwork(world, options.network ?? {}),
    env,
    user: options.user ?? { uid: 0, gid: 0 },
    architecture: options.architecture ?? "amd64",
    cores: options.cores ?? 2,
    ...programs.calls,
    random,
    kill: (pid, signal) => {
      world.enter();
      if (!(options.processes ?? []).includes(pid)) return false;
      killed.push({ pid, signal });
      return true;
    },
    calls: gate.calls,
    executed: programs.executed,
    killed,
    get crashed() {
      return gate.crashed;
    },
    crashAt: (at, when = "before") => {
      gate.crashAt = at === undefined ? undefined : gate.mutations + at;
      gate.when = when;
    },
    reboot,
    assertClean,
    [Symbol.dispose]: assertClean,
  };
}

/** Sleeping takes no time here: it moves the clock. */
function createFakeClock(startMs: number): FakeClock {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    elapsed: () => nowMs - startMs,
    sleep: async (durationMs, signal) => {
      signal?.throwIfAborted();
      nowMs += durationMs;
    },
    advance: (durationMs) => {
      nowMs += durationMs;
    },
  };
}

function seeded(seed: number): (sizeBytes: number) => Buffer {
  let counter = 0;
  return (sizeBytes) => {
    const parts: Buffer[] = [];
    for (let size = 0; size < sizeBytes; size += 32) {
      counter += 1;
      parts.push(createHash("sha256").update(`${seed} ${counter}`).digest());
    }
    return Buffer.concat(parts).subarray(0, sizeBytes);
  };
}

function place(files: Host["files"], path: string, entry: FakeEntry): void {
  if (typeof entry === "object" && "directory" in entry) {
    files.makeDirectory(path, entry.mode === undefined ? {} : { mode: entry.mode });
    return;
  }
  files.makeDirectory(path.slice(0, Math.max(1, path.lastIndexOf("/"))));
  if (typeof entry === "string" || entry instanceof Uint8Array) files.write(path, entry);
  else if ("symlink" in entry) files.symlink(entry.symlink, path);
  else {
    files.write(path, entry.content, entry.mode === undefined ? {} : { mode: entry.mode });
    if (entry.uid !== undefined || entry.gid !== undefined) files.chown(path, entry.uid ?? 0, entry.gid ?? 0);
  }
}

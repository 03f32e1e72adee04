/**
 * FakeWorld: what the parts of the fake host share: the disk, the mounts, the walk along a path, and the gate that counts mutating
 * calls and cuts the power at one of them.
 */
import { systemFailure } from "./errors.ts";
import { createFakeDisk, type Durability, type FakeDisk, type Inode } from "./fake-disk.ts";

/** The power went. It is no Failure: nothing in the program may handle it. */
export class Crash extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Crash";
  }
}

/** True for a Crash, and for what disposal makes of one when its own calls are refused after it. */
export function isCrash(error: unknown): boolean {
  if (error instanceof Crash) return true;
  return error instanceof SuppressedError && (isCrash(error.error) || isCrash(error.suppressed));
}

/** One mutating call, as a fault hook sees it. */
export interface FakeCall {
  /** "create", "write", "rename", "sync", "mount", "exec", ... */
  readonly call: string;
  readonly path: string;
}

export interface FakeMount {
  readonly id: number;
  readonly root: Inode;
  readonly parent: { readonly mount: FakeMount; readonly inode: Inode } | undefined;
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly superOptions: string;
  readOnly: boolean;
  mounted: boolean;
}

/** Where a name is: its directory and, when it exists, its inode. */
export interface Place {
  readonly mount: FakeMount;
  readonly directory: Inode;
  readonly name: string;
  readonly inode: Inode | undefined;
  /** The mount that holds `inode` itself: another than `mount` when something is mounted there. */
  readonly inodeMount: FakeMount;
  /** Canonical path. */
  readonly path: string;
}

export interface FakeWorld {
  readonly disk: FakeDisk;
  readonly mounts: FakeMount[];
  readonly locks: Map<Inode, { shared: number; exclusive: boolean }>;
  /** Refuses when the power is off. */
  enter(): void;
  /** One mutating call: counted, faulted, and the point where the power may go. */
  mutate<Result>(call: string, path: string, work: () => Result): Result;
  walk(call: string, path: string, options: { follow: boolean }): Place;
  /** As walk(), the inode must exist. */
  find(call: string, path: string, options: { follow: boolean }): Place & { readonly inode: Inode };
}

export interface Gate {
  crashed: boolean;
  mutations: number;
  crashAt: number | undefined;
  when: "before" | "after";
  readonly calls: string[];
  onCall: ((call: FakeCall) => void) | undefined;
}

export interface PowerCut {
  readonly durability: Durability;
  readonly random: () => number;
}

const MAX_SYMLINKS = 40;

export function createFakeWorld(gate: Gate, now: () => number): FakeWorld {
  const disk = createFakeDisk(now);
  const mounts: FakeMount[] = [
    {
      id: 0,
      root: disk.root,
      parent: undefined,
      type: "fake",
      source: "fake",
      target: "/",
      superOptions: "",
      readOnly: false,
      mounted: true,
    },
  ];

  const enter = (): void => {
    if (gate.crashed) throw new Crash("Cannot do anything: the power is off until reboot()");
  };

  const cut = (what: string): never => {
    gate.crashed = true;
    throw new Crash(`The power went ${gate.when} call ${gate.mutations}: ${what}`);
  };

  const mutate = <Result>(call: string, path: string, work: () => Result): Result => {
    enter();
    gate.mutations += 1;
    gate.calls.push(`${call} ${path}`);
    gate.onCall?.({ call, path });
    const dies = gate.mutations === gate.crashAt;
    if (dies && gate.when === "before") cut(`${call} ${path}`);
    const result = work();
    if (dies) cut(`${call} ${path}`);
    return result;
  };

  const walk: FakeWorld["walk"] = (call, path, { follow }) => {
    enter();
    return walkPath(mounts, { call, path }, follow);
  };

  return {
    disk,
    mounts,
    locks: new Map(),
    enter,
    mutate,
    walk,
    find: (call, path, options) => {
      const place = walk(call, path, options);
      if (place.inode === undefined) throw systemFailure({ call, path }, "ENOENT");
      return { ...place, inode: place.inode };
    },
  };
}

interface Step {
  readonly mount: FakeMount;
  readonly inode: Inode;
  readonly name: string;
}

/** Along a path as the kernel goes: symlinks, `..`, mounts on the way. */
function walkPath(mounts: readonly FakeMount[], where: { call: string; path: string }, follow: boolean): Place {
  const first = across(mounts, mounts[0] as FakeMount, (mounts[0] as FakeMount).root);
  let stack: Step[] = [{ ...first, name: "" }];
  let rest = where.path.split("/").filter((part) => part !== "" && part !== ".");
  const mustBeDirectory = where.path.endsWith("/");
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const here = stack.at(-1) as Step;
    if (here.inode.kind !== "directory") throw systemFailure(where, "ENOTDIR");
    if (name === "..") {
      if (stack.length > 1) stack.pop();
      continue;
    }
    const child = here.inode.children.get(name);
    const last = rest.length === 0;
    if (child?.kind === "symlink" && (!last || follow || mustBeDirectory)) {
      links += 1;
      if (links > MAX_SYMLINKS) throw systemFailure(where, "ELOOP");
      if (child.target.startsWith("/")) stack = stack.slice(0, 1);
      rest = [...child.target.split("/").filter((part) => part !== "" && part !== "."), ...rest];
      continue;
    }
    if (child === undefined) {
      if (!last) throw systemFailure(where, "ENOENT");
      const path = pathOf([...stack.slice(1).map((step) => step.name), name]);
      return { mount: here.mount, directory: here.inode, name, inode: undefined, inodeMount: here.mount, path };
    }
    stack.push({ ...across(mounts, here.mount, child), name });
  }
  const end = stack.at(-1) as Step;
  const holder = stack.at(-2) ?? end;
  return {
    mount: holder.mount,
    directory: holder.inode,
    name: end.name,
    inode: end.inode,
    inodeMount: end.mount,
    path: pathOf(stack.slice(1).map((step) => step.name)),
  };
}

function pathOf(names: readonly string[]): string {
  return `/${names.join("/")}`;
}

/** Onto the topmost of the mounts that lie on an inode. */
function across(mounts: readonly FakeMount[], mount: FakeMount, inode: Inode): { mount: FakeMount; inode: Inode } {
  for (;;) {
    const over = mounts.findLast(({ parent }) => parent?.mount === mount && parent.inode === inode);
    if (over === undefined) return { mount, inode };
    mount = over;
    inode = over.root;
  }
}

/**
 * prepareMounts(): what `RUN --mount` brings into the container. Contents of cache mounts stay between builds; secrets live in a tmpfs
 * that goes away with the build; a writable bind mount is an overlay whose changes are dropped.
 */
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { BundleMount } from "../containers/run-process.ts";
import type { Host, Lock } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import { cacheMountPath } from "./build-cache.ts";
import type { SecretSource } from "./build-request.ts";
import { join, resolveInRoot } from "../host/resolve-in-root.ts";
import { findSources, type SourceTree, walkSource } from "./source-tree.ts";
import type { SourceRef, StepMount } from "./step.ts";

export interface MountParts {
  readonly host: Host;
  readonly store: Store;
  readonly secrets: ReadonlyMap<string, SecretSource>;
  readonly openTree: (ref: SourceRef) => SourceTree;
  /** A new directory of this build's scratch space. */
  readonly newDirectory: () => string;
  /** A directory in memory, for secrets. */
  readonly secretDirectory: () => string;
}

export interface PreparedMounts extends Disposable {
  readonly mounts: readonly BundleMount[];
  /** `NAME=value` of secrets that are wanted as variables. */
  readonly env: readonly string[];
}

export function prepareMounts(parts: MountParts, wanted: readonly StepMount[]): PreparedMounts {
  const resources = new DisposableStack();
  const mounts: BundleMount[] = [];
  const env: string[] = [];
  try {
    for (const mount of wanted) {
      switch (mount.kind) {
        case "bind":
          mounts.push(prepareBind(parts, mount, resources));
          break;
        case "cache":
          mounts.push(prepareCache(parts, mount, resources));
          break;
        case "tmpfs":
          mounts.push({
            kind: "tmpfs",
            target: mount.target,
            mode: 0o1777,
            ...(mount.sizeBytes !== undefined && { sizeBytes: mount.sizeBytes }),
          });
          break;
        case "secret":
          prepareSecret(parts, mount, { mounts, env });
          break;
      }
    }
  } catch (error) {
    resources.dispose();
    throw error;
  }
  return { mounts, env, [Symbol.dispose]: () => resources.dispose() };
}

function prepareBind(
  parts: MountParts,
  mount: Extract<StepMount, { kind: "bind" }>,
  resources: DisposableStack,
): BundleMount {
  const { host } = parts;
  const tree = parts.openTree(mount.from);
  const { path, stat } = resolveInRoot(host.files, tree.root, textToByteName(mount.source));
  if (stat === undefined)
    throw new Failure("not-found", `Cannot mount "${mount.source}" from the ${tree.title}: there is no such file`);
  let source = join(tree.root, path);
  if (!tree.rules.isEmpty) source = copyOf(parts, tree, byteNameToText(path));
  if (mount.readOnly) return { kind: "bind", source, target: mount.target, readOnly: true };
  if (stat.kind !== "directory")
    return {
      kind: "bind",
      source: tree.rules.isEmpty ? copyOf(parts, tree, byteNameToText(path)) : source,
      target: mount.target,
    };
  const [upper, work, merged] = [parts.newDirectory(), parts.newDirectory(), parts.newDirectory()];
  const overlay = host.mounts.overlay({ source: "berth-build", lower: [source], upper, work }, merged);
  resources.defer(() => overlay.unmount());
  return { kind: "bind", source: merged, target: mount.target };
}

/** A copy without what the ignore rules hide. */
function copyOf(parts: MountParts, tree: SourceTree, path: string): string {
  const target = `${parts.newDirectory()}/copy`;
  for (const source of findSources(parts.host.files, tree, path)) copyTree(parts.host, tree, source, target);
  return target;
}

function copyTree(host: Host, tree: SourceTree, source: ReturnType<typeof findSources>[number], target: string): void {
  const { files } = host;
  for (const entry of walkSource(files, tree, source, [])) {
    const path = join(target, entry.relative);
    const { stat } = entry;
    if (stat.kind === "directory") files.makeDirectory(path);
    else if (stat.kind === "symlink") files.symlink(files.readlink(entry.absolute), path);
    else if (stat.kind === "file") files.copy(entry.absolute, path);
    else continue;
    if (stat.kind !== "symlink") files.chmod(path, stat.mode);
    if (tree.isImage) files.chown(path, stat.uid, stat.gid);
  }
}

function prepareCache(
  parts: MountParts,
  mount: Extract<StepMount, { kind: "cache" }>,
  resources: DisposableStack,
): BundleMount {
  const { host, store } = parts;
  const { path, lock } = claimCache(host, mount, (id) => cacheMountPath(store, id));
  if (lock !== undefined) resources.defer(() => lock.release());
  if (!host.files.exists(path)) {
    host.files.makeDirectory(path);
    if (mount.from !== undefined) {
      const tree = parts.openTree(mount.from);
      for (const source of findSources(host.files, tree, mount.source)) copyTree(host, tree, source, path);
    }
    host.files.chmod(path, mount.mode);
    host.files.chown(path, mount.uid, mount.gid);
  }
  return { kind: "bind", source: path, target: mount.target, readOnly: mount.readOnly };
}

/** locked: wait for the other build. private: take the next one that is free. shared: no lock. */
function claimCache(
  host: Host,
  mount: Extract<StepMount, { kind: "cache" }>,
  pathOf: (id: string) => string,
): { path: string; lock: Lock | undefined } {
  const first = pathOf(mount.id);
  host.files.makeDirectory(first.slice(0, first.lastIndexOf("/")));
  if (mount.sharing === "shared") return { path: first, lock: undefined };
  if (mount.sharing === "locked")
    return { path: first, lock: host.files.lock(`${first}.lock`, "exclusive", { wait: true }) };
  for (let i = 0; ; i += 1) {
    const path = i === 0 ? first : pathOf(`${mount.id}\0${i}`);
    try {
      return { path, lock: host.files.lock(`${path}.lock`, "exclusive", { wait: false }) };
    } catch (error) {
      if (!isFailure(error, "busy")) throw error;
    }
  }
}

function prepareSecret(
  parts: MountParts,
  mount: Extract<StepMount, { kind: "secret" }>,
  found: { mounts: BundleMount[]; env: string[] },
): void {
  const secret = parts.secrets.get(mount.id);
  if (secret === undefined) return;
  if (mount.env !== undefined)
    found.env.push(`${mount.env}=${Buffer.from(secret.content).toString("utf8").replace(/\n$/, "")}`);
  if (mount.target === undefined) return;
  const { files } = parts.host;
  const path = `${parts.secretDirectory()}/${found.mounts.length}-${Buffer.from(mount.id).toString("hex").slice(0, 64)}`;
  files.remove(path);
  files.write(path, secret.content, { mode: 0o600 });
  files.chown(path, mount.uid, mount.gid);
  files.chmod(path, mount.mode);
  found.mounts.push({ kind: "bind", source: path, target: mount.target, readOnly: true });
}

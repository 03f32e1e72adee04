/**
 * Local archives of ADD: found by their first bytes, whatever their name; unpacked straight into the layer, in the archive's order,
 * owners and modes as they say.
 */
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { decompress } from "../core/compress.ts";
import { Failure } from "../core/failure.ts";
import { readTar } from "../format/tar/read.ts";
import type { TarInput } from "../format/tar/write.ts";
import type { Host } from "../host/host.ts";
import { NO_XATTRS } from "../tree/node.ts";
import { existingStat, type FoundSource } from "./copy-layer.ts";
import { applyMode, resolveOwner } from "./owner.ts";
import { join, resolveInRoot } from "../host/resolve-in-root.ts";
import type { Source, SourceTree } from "./source-tree.ts";
import type { CopyAction } from "./step.ts";

export interface Archive {
  /** Members below the destination; `view` is the state that they are unpacked into. */
  unpack(view: string, nowSec: number): AsyncGenerator<TarInput, void, undefined>;
}

type Packing = "none" | "gzip" | "zstd" | "xz" | "bzip2";

/** Divides what ADD names into archives and the rest. */
export async function openArchives(
  host: Host,
  action: CopyAction,
  copied: { readonly tree: SourceTree; readonly found: readonly FoundSource[] },
): Promise<{ rest: readonly FoundSource[]; archives: readonly Archive[] }> {
  if (!action.unpack) return { rest: copied.found, archives: [] };
  const archives: Archive[] = [];
  const rest: FoundSource[] = [];
  for (const found of copied.found) {
    if (found.kind === "heredoc") {
      rest.push(found);
      continue;
    }
    const plain: Source[] = [];
    for (const source of found.sources) {
      const path = join(copied.tree.root, source.path);
      const packing = source.stat.kind === "file" ? await archivePacking(host, path) : undefined;
      if (packing === undefined) plain.push(source);
      else archives.push(createArchive(host, action, path, packing));
    }
    if (plain.length > 0) rest.push({ kind: "path", sources: plain });
  }
  return { rest, archives };
}

const MAGIC: readonly (readonly [Packing, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", [0x42, 0x5a, 0x68]],
];
const TAR_MAGIC_OFFSET = 257;

/** undefined when the file is no tar archive, packed or not. */
async function archivePacking(host: Host, path: string): Promise<Packing | undefined> {
  const start = Buffer.alloc(512);
  {
    using file = host.files.open(path, "read");
    file.read(start);
  }
  const packing = MAGIC.find(([, magic]) => magic.every((byte, i) => start[i] === byte))?.[0] ?? "none";
  if (packing === "none") return isTarBlock(start) ? packing : undefined;
  const tool = PROGRAMS[packing];
  if (tool !== undefined && host.which(tool) === undefined) {
    throw new Failure("missing-tool", `Cannot look into "${path}": ${tool} is not installed`, {
      hint: `install the package ${tool === "xz" ? "xz-utils" : tool}`,
    });
  }
  try {
    for await (const chunk of unpacked(host, path, packing)) return isTarBlock(chunk) ? packing : undefined;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
  return undefined;
}

function isTarBlock(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(TAR_MAGIC_OFFSET, TAR_MAGIC_OFFSET + 5)).toString("latin1") === "ustar";
}

const PROGRAMS: Readonly<Partial<Record<Packing, string>>> = { xz: "xz", bzip2: "bzip2" };

async function* unpacked(host: Host, path: string, packing: Packing): AsyncGenerator<Uint8Array, void, undefined> {
  const program = PROGRAMS[packing];
  if (program === undefined) {
    yield* decompress(host.files.readStream(path), packing === "gzip" || packing === "zstd" ? packing : "none");
    return;
  }
  const child = host.spawn([program, "-dc", "--", path], { stdout: "pipe" });
  let whole = false;
  try {
    for await (const chunk of child.stdout ?? []) yield chunk;
    whole = true;
  } finally {
    if (!whole) child.kill("SIGKILL");
    await child.ended;
  }
  const { exitCode } = await child.ended;
  if (exitCode !== 0)
    throw new Failure("bad-input", `Cannot unpack "${path}": ${program} ended with exit status ${exitCode}`);
}

function createArchive(host: Host, action: CopyAction, path: string, packing: Packing): Archive {
  const { files } = host;
  return {
    async *unpack(view, nowSec) {
      const owner = action.chown === undefined ? undefined : resolveOwner(files, view, action.chown);
      const top = resolveInRoot(files, view, textToByteName(action.target));
      if (top.stat !== undefined && top.stat.kind !== "directory") {
        throw new Failure("conflict", `Cannot unpack to "${action.target}": it is no directory in the image`);
      }
      const made = new Set<string>();
      /** Directories on the way, once each: as the image has them, or new ones. */
      const parents = function* (directory: string): Generator<TarInput> {
        const names = directory === "" ? [] : directory.split("/");
        for (let i = 1; i <= names.length; i += 1) {
          const here = names.slice(0, i).join("/");
          if (made.has(here)) continue;
          made.add(here);
          const existing = existingStat(files, view, here);
          if (existing === "other")
            throw new Failure(
              "conflict",
              `Cannot unpack to "/${byteNameToText(here)}": it is no directory in the image`,
            );
          const stat = existing ?? { mode: 0o755, uid: 0, gid: 0, mtimeSec: nowSec, mtimeNsec: 0, xattrs: NO_XATTRS };
          yield { member: { kind: "directory", path: toPath(here), stat } };
        }
      };
      const place = (name: string): string => {
        const target = top.path === "" ? name : name === "" ? top.path : `${top.path}/${name}`;
        const slash = target.lastIndexOf("/");
        const parent = resolveInRoot(files, view, target.slice(0, Math.max(0, slash)));
        return parent.path === "" ? target.slice(slash + 1) : `${parent.path}/${target.slice(slash + 1)}`;
      };
      yield* parents(top.path);
      try {
        for await (const { member, content } of readTar(unpacked(host, path, packing))) {
          const here = place(member.path);
          if (here === "" || (member.path === "" && member.kind === "directory")) continue;
          const slash = here.lastIndexOf("/");
          yield* parents(slash < 0 ? "" : here.slice(0, slash));
          if (member.kind === "directory") made.add(here);
          const mode =
            action.chmod === undefined || member.kind === "symlink"
              ? member.stat.mode
              : applyMode(member.stat.mode, action.chmod, member.kind === "directory");
          const stat = { ...member.stat, mode, mtimeNsec: 0, ...owner };
          if (
            member.kind === "directory" &&
            resolveInRoot(files, view, here).stat?.kind === "directory" &&
            isLink(here, view)
          )
            continue;
          if (member.kind === "hardlink")
            yield { member: { ...member, path: toPath(here), stat, target: toPath(place(member.target)) } };
          else yield { member: { ...member, path: toPath(here), stat }, ...(member.kind === "file" && { content }) };
        }
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        throw new Failure("bad-input", `Cannot unpack "${path}": it is damaged`, { cause: error });
      }
    },
  };

  /** A directory of the archive that is a link to a directory in the image (merged /usr) stays that link. */
  function isLink(here: string, view: string): boolean {
    return files.lstat(join(view, here))?.kind === "symlink";
  }
}

function toPath(path: string): TarInput["member"]["path"] {
  return path as TarInput["member"]["path"];
}

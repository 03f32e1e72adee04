/** Layers as they are kept: a splitstream gives back the exact tar, or, without touching one object, the members of the tree. */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { verified } from "../core/verified.ts";
import type { TarMember } from "../format/tar/member.ts";
import { createTarParser } from "../format/tar/parser.ts";
import { createLayerMerger, ROOT_STAT } from "../tree/apply-layer.ts";
import type { LayerEntry } from "../tree/layer-entry.ts";
import type { Directory, FileContent } from "../tree/node.ts";
import { streamName } from "./layout.ts";
import type { Repository } from "./repository.ts";
import { INLINE_BYTES_MAX } from "./split-layer.ts";
import { corrupt, type NamedStream, objectPath, openStream } from "./streams.ts";

/** The exact tar, checked against its diff id at the end. Failure "not-found" at once when the layer is not here. */
export function readLayer(repository: Repository, diffId: Digest): AsyncIterable<Uint8Array> {
  const layer = requireLayer(repository, diffId);
  return verified(expand(repository, layer), { digest: diffId, size: layer.stream.size });
}

/** Bytes of the uncompressed tar. */
export function layerSize(repository: Repository, diffId: Digest): number {
  return requireLayer(repository, diffId).stream.size;
}

/**
 * Layers merged, in order. A root that no layer describes can be entered by everyone (mode 0755), as container engines have it.
 * Failure "not-found" for a layer that is not here, "bad-input" for one that does not fit.
 */
export function readTree(repository: Repository, diffIds: readonly Digest[]): Directory {
  const merger = createLayerMerger();
  for (const diffId of diffIds) visitMembers(requireLayer(repository, diffId), (entry) => merger.apply(entry));
  const root = merger.finish();
  if (root.stat === ROOT_STAT) root.stat = { ...ROOT_STAT, mode: 0o755 };
  return root;
}

async function* expand(repository: Repository, layer: NamedStream): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (const piece of layer.stream.pieces()) {
      if (piece.kind === "inline") yield piece.bytes;
      else yield* repository.host.files.readStream(objectPath(repository, piece.objectId));
    }
  } catch (error) {
    throw error instanceof SyntaxError ? corrupt(layer.name, error) : error;
  }
}

/** The contents of files that are part of the image itself; empty ones are left out. */
export function visitInlineFiles(layer: NamedStream, visit: (bytes: Buffer) => void): void {
  visitMembers(layer, (entry) => {
    if (entry.kind === "file" && entry.content.kind === "inline" && entry.size > 0)
      visit(Buffer.from(entry.content.bytes));
  });
}

/** Failure "corrupt" for a stream that is no layer. */
function visitMembers({ name, stream }: NamedStream, visit: (entry: LayerEntry) => void): void {
  /** A file whose content has not come yet. */
  let waiting: Extract<TarMember, { kind: "file" }> | undefined;
  let inline = Buffer.alloc(0);
  const applyFile = (content: FileContent): void => {
    if (waiting !== undefined) visit({ ...waiting, content });
    waiting = undefined;
  };
  const parser = createTarParser({
    raw() {},
    member(member) {
      if (member.kind !== "file") visit(member);
      else {
        waiting = member;
        inline = Buffer.alloc(0);
        if (member.size === 0) applyFile({ kind: "inline", bytes: inline });
      }
    },
    content(bytes) {
      if (waiting === undefined || waiting.size > INLINE_BYTES_MAX)
        throw new SyntaxError("a file's content stands where an object is wanted");
      inline = Buffer.concat([inline, bytes]);
      if (inline.length === waiting.size) applyFile({ kind: "inline", bytes: inline });
    },
  });
  try {
    for (const piece of stream.pieces()) {
      if (piece.kind === "inline") parser.push(piece.bytes);
      else {
        parser.skipContent();
        applyFile({ kind: "external", objectId: piece.objectId });
      }
    }
    parser.end();
  } catch (error) {
    throw error instanceof SyntaxError ? corrupt(name, error) : error;
  }
}

function requireLayer(repository: Repository, diffId: Digest): NamedStream {
  const layer = openStream(repository, streamName("layer", diffId));
  if (layer !== undefined) return layer;
  throw new Failure("not-found", `Cannot read layer "${diffId}": it is not in the store`, {
    hint: "pull or import its image first",
  });
}

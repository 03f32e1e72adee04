/**
 * LayerParts: layers taken apart into what a delta speaks of: the skeleton (every byte that is no object), the objects in order of
 * first use, and how both follow each other in each layer. For the same layers it is the same on every machine.
 */
import type { ByteName } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { DeltaLayer, DeltaPiece } from "../../format/delta/delta-index.ts";
import { createTarParser } from "../../format/tar/parser.ts";
import { streamName } from "../layout.ts";
import type { Repository } from "../repository.ts";
import { corrupt, type NamedStream, openStream } from "../streams.ts";

export interface LayerParts {
  readonly skeleton: Buffer;
  /** Ids, each once. */
  readonly objects: readonly string[];
  /** Pieces refer to `objects`. */
  readonly layers: readonly DeltaLayer[];
}

/** An object and a path that it has in its layer. */
export interface NamedObject {
  readonly path: ByteName;
  readonly objectId: string;
}

/** Failure "not-found" for a layer that is not in the store. */
export function readLayerParts(repository: Repository, diffIds: readonly Digest[]): LayerParts {
  const inline: Buffer[] = [];
  const objects = new Map<string, number>();
  const layers = diffIds.map((diffId): DeltaLayer => {
    const pieces: DeltaPiece[] = [];
    let inlineBytes = 0;
    for (const piece of piecesOf(requireLayer(repository, diffId))) {
      if (piece.kind === "inline") {
        inline.push(piece.bytes);
        inlineBytes += piece.bytes.length;
        continue;
      }
      const object = objects.get(piece.objectId) ?? objects.size;
      objects.set(piece.objectId, object);
      pieces.push({ inlineBytes, object });
      inlineBytes = 0;
    }
    if (inlineBytes > 0) pieces.push({ inlineBytes, object: undefined });
    return { diffId, pieces };
  });
  return { skeleton: Buffer.concat(inline), objects: [...objects.keys()], layers };
}

/** Every object of the layers with its path, in the order of the tars; a path of several layers comes several times. */
export function readNamedObjects(repository: Repository, diffIds: readonly Digest[]): NamedObject[] {
  const found: NamedObject[] = [];
  for (const diffId of diffIds) {
    let path: ByteName | undefined;
    const parser = createTarParser({
      raw() {},
      member(member) {
        path = member.kind === "file" ? member.path : undefined;
      },
      content() {},
    });
    for (const piece of piecesOf(requireLayer(repository, diffId))) {
      if (piece.kind === "inline") parser.push(piece.bytes);
      else {
        parser.skipContent();
        if (path !== undefined) found.push({ path, objectId: piece.objectId });
      }
    }
  }
  return found;
}

function requireLayer(repository: Repository, diffId: Digest): NamedStream {
  const layer = openStream(repository, streamName("layer", diffId));
  if (layer !== undefined) return layer;
  throw new Failure("not-found", `Cannot read layer "${diffId}": it is not in the store`, {
    hint: "pull or import its image first",
  });
}

function* piecesOf({ name, stream }: NamedStream): ReturnType<NamedStream["stream"]["pieces"]> {
  try {
    yield* stream.pieces();
  } catch (error) {
    throw error instanceof SyntaxError ? corrupt(name, error) : error;
  }
}

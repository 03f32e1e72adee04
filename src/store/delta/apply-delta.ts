/**
 * applyDelta(): makes the layers of a delta from what the store has. Every new object must come out under the digest that the delta
 * states, and every layer's tar must hash to its diff id before it gets its name: a wrong delta costs time and leaves nothing but
 * objects that the next gc takes.
 */
import { createDigester, type Digest, digestAlgorithm } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { type DeltaReader, readDelta } from "../../format/delta/delta-file.ts";
import {
  type DeltaBase,
  type DeltaContent,
  type DeltaIndex,
  type DeltaLayer,
  type Form,
  groupContents,
} from "../../format/delta/delta-index.ts";
import { createPatchDecoder } from "../../format/delta/patch.ts";
import { createSplitstreamWriter } from "../../format/splitstream/splitstream.ts";
import { streamName } from "../layout.ts";
import { type Repository, syncRepository } from "../repository.ts";
import { linkStream, objectPath } from "../streams.ts";
import { type BytesSource, expandTogether, readJoined } from "./encode-group.ts";
import { createLatePacking } from "./late-packing.ts";
import { readLayerParts } from "./layer-parts.ts";
import { pack } from "./packing.ts";
import { BASE_BYTES_MAX } from "./plan-contents.ts";
import { createRoom, type Room } from "./room.ts";

const BLOCK_BYTES = 1024 * 1024;

export interface ApplyDeltaOptions {
  /** The layers that are wanted: the delta must make just these. */
  readonly layers: readonly Digest[];
  readonly signal?: AbortSignal | undefined;
}

/**
 * Failure "bad-input" for what is no delta or another one, "digest-mismatch" when it makes other bytes, "not-found" when an old
 * layer is not here, "unsupported" for a store of another algorithm, and what `source` throws.
 */
export async function applyDelta(
  repository: Repository,
  source: AsyncIterable<Uint8Array>,
  options: ApplyDeltaOptions,
): Promise<void> {
  try {
    const delta = await readDelta(source);
    requireFit(repository, delta.index, options.layers);
    const { skeleton, objects } = await makeContents(repository, delta, options.signal);
    await delta.end();
    const streams: { diffId: Digest; objectId: string }[] = [];
    let at = 0;
    for (const layer of delta.index.layers) {
      const bytes = layer.pieces.reduce((sum, { inlineBytes }) => sum + inlineBytes, 0);
      const objectId = writeLayer(repository, layer, { skeleton: skeleton.subarray(at, (at += bytes)), objects });
      streams.push({ diffId: layer.diffId, objectId });
      options.signal?.throwIfAborted();
    }
    syncRepository(repository);
    for (const { diffId, objectId } of streams) linkStream(repository, streamName("layer", diffId), objectId);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new Failure("bad-input", "Cannot use delta: it is damaged", { cause: error });
  }
}

function requireFit(repository: Repository, index: DeltaIndex, layers: readonly Digest[]): void {
  if (index.algorithm !== repository.algorithm) {
    throw new Failure(
      "unsupported",
      `Cannot use delta: its object digests are ${index.algorithm}, wanted ${repository.algorithm}`,
    );
  }
  const made = new Set(index.layers.map(({ diffId }) => diffId));
  const missing = layers.find((diffId) => !made.has(diffId));
  if (missing !== undefined || made.size !== index.layers.length)
    throw new Failure("bad-input", `Cannot use delta: it does not make layer "${missing ?? "twice"}"`);
  if (repository.host.which("xz") === undefined && index.contents.some(({ packing }) => packing.kind === "xz")) {
    throw new Failure("unsupported", "Cannot use delta: it needs xz, which is not installed", {
      hint: "install the package xz-utils",
    });
  }
}

interface MadeContents {
  readonly skeleton: Buffer;
  /** Id by number: old objects, the skeleton (empty), new objects. */
  readonly objects: readonly string[];
}

async function makeContents(
  repository: Repository,
  delta: DeltaReader,
  signal: AbortSignal | undefined,
): Promise<MadeContents> {
  const { index } = delta;
  const old = readLayerParts(repository, index.old.layers);
  if (old.objects.length !== index.old.objects || old.skeleton.length !== index.old.skeletonBytes)
    throw new SyntaxError("the old layers are not those that it was made from");
  const objects = [...old.objects, ...index.contents.map(({ objectId }) => objectId)];
  const rooms = { base: createRoom(), content: createRoom(), choices: createRoom() };
  const sourcesOf = (bases: readonly DeltaBase[]): BytesSource[] =>
    bases.map(({ object, form }) => sourceOf(repository, objects[object], form));
  const isOld = ({ object }: DeltaBase): boolean => object < old.objects.length;
  const roomFor = ({ packing }: DeltaContent): Room => (packing.kind === "choices" ? rooms.choices : rooms.content);
  const skeleton = Buffer.allocUnsafeSlow(index.contents[0]?.sizeBytes ?? 0);
  let open: { readonly base: Buffer; readonly bytes: Buffer } | undefined;
  let choices: Buffer | undefined;
  await using late = createLatePacking(repository, signal);
  const segments = groupContents(index.contents).values();
  for await (const streams of delta.groups()) {
    signal?.throwIfAborted();
    const decoder = createPatchDecoder(streams);
    const parts = segments.next().value ?? [];
    const begun = parts.flatMap(({ content, start }) => (start === 0 ? (index.contents[content]?.bases ?? []) : []));
    const expanded = await expandTogether(repository.host, sourcesOf(begun.filter(isOld)), { signal });
    for (const { content: number, start, end } of parts) {
      const content = index.contents[number];
      if (content === undefined) throw new SyntaxError(`content ${number} is missing`);
      if (start === 0) {
        // A new object may still be with xz.
        if (!content.bases.every(isOld)) await late.settle();
        requireBaseSize(repository, objects, content);
        const from = { room: rooms.base, expanded };
        open =
          number === 0
            ? { base: old.skeleton, bytes: skeleton }
            : {
                base: readJoined(repository.host.files, sourcesOf(content.bases), from),
                bytes: roomFor(content)(content.expandedBytes),
              };
      }
      if (open === undefined) throw new SyntaxError("a content begins in its middle");
      decoder.decode(open.base, open.bytes, start, end);
      if (end < content.expandedBytes || number === 0) continue;
      const { packing, sizeBytes } = content;
      if (packing.kind === "choices") choices = open.bytes;
      else if (packing.kind === "xz") {
        const put = (packed: Buffer): void => putObject(repository, content, packed);
        late.add({ settings: packing.settings, expanded: Buffer.from(open.bytes), sizeBytes, put });
      } else {
        putObject(repository, content, pack(open.bytes, packing, { sizeBytes, choices }));
        choices = undefined;
      }
    }
    decoder.end();
    await late.start();
  }
  await late.settle();
  return { skeleton, objects };
}

function sourceOf(repository: Repository, objectId: string | undefined, form: Form): BytesSource {
  if (objectId === undefined || objectId === "") throw new SyntaxError("a base is no object");
  return { source: objectPath(repository, objectId), form };
}

/** Before anything is read: a delta must not make us take more memory than it is worth. */
function requireBaseSize(repository: Repository, objects: readonly string[], content: DeltaContent): void {
  let bytes = 0;
  for (const { object } of content.bases) {
    const objectId = objects[object] ?? "";
    bytes += repository.host.files.stat(objectPath(repository, objectId))?.size ?? 0;
    if (bytes > BASE_BYTES_MAX) throw new SyntaxError(`the bases of an object have more than ${BASE_BYTES_MAX} bytes`);
  }
}

function putObject(repository: Repository, content: DeltaContent, bytes: Buffer): void {
  const objectId = repository.writer.put(bytes);
  if (objectId === content.objectId) return;
  throw new Failure(
    "digest-mismatch",
    `Cannot use delta: an object of ${bytes.length} bytes came out as ${objectId.slice(0, 16)}…, wanted ${content.objectId.slice(0, 16)}…`,
  );
}

/** Returns the layer's splitstream, written but not named. */
function writeLayer(repository: Repository, layer: DeltaLayer, { skeleton, objects }: MadeContents): string {
  const stream = createSplitstreamWriter("ocilayer", repository.algorithm);
  const digester = createDigester(digestAlgorithm(layer.diffId));
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  let at = 0;
  for (const { inlineBytes, object } of layer.pieces) {
    const inline = skeleton.subarray(at, (at += inlineBytes));
    if (inline.length !== inlineBytes) throw new SyntaxError("its layers have more bytes than its skeleton");
    stream.inline(inline);
    digester.update(inline);
    if (object === undefined) continue;
    const objectId = objects[object] ?? "";
    stream.external(
      objectId,
      readInto(repository, objectId, block, (bytes) => digester.update(bytes)),
    );
  }
  const actual = digester.digest();
  if (actual !== layer.diffId) {
    throw new Failure(
      "digest-mismatch",
      `Cannot use delta: a layer's tar hashes to ${actual}, wanted ${layer.diffId} as the image's config says`,
    );
  }
  return repository.writer.put(stream.finish());
}

/** Through one buffer for all objects: a new one for each costs more than the hash. Returns the object's size. */
function readInto(repository: Repository, objectId: string, block: Buffer, see: (bytes: Buffer) => void): number {
  using file = repository.host.files.open(objectPath(repository, objectId), "read");
  let at = 0;
  for (;;) {
    const count = file.read(block, at);
    if (count > 0) see(block.subarray(0, count));
    at += count;
    if (count < block.length) return at;
  }
}

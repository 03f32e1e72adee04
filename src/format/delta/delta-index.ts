/**
 * DeltaIndex: what a delta makes, as a table. It says of each missing layer how objects and the rest of its tar follow each other,
 * and of each new object its digest, its size and what it is made of; the bytes come after it, in groups.
 *
 * Contents are numbered: 0 is the skeleton (all bytes of the missing layers that are no object: headers, padding, small files), the
 * others are objects. References to objects share one space: first the objects of the old layers in order of first use, then the
 * contents. A content is made only of what comes before it.
 *
 * @see docs/formats/delta.md
 */
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestHex } from "../../core/digest.ts";
import { XZ_CHECKS, XZ_DICTIONARY_MAX, type XzSettings } from "../xz/xz-file.ts";
import { createNumberReader, createNumberWriter, type NumberReader, type NumberWriter } from "./numbers.ts";

export interface DeltaIndex {
  /** Of object ids. */
  readonly algorithm: DigestAlgorithm;
  readonly old: {
    /** Diff ids of the layers that must be there. */
    readonly layers: readonly Digest[];
    /** Different objects in them. */
    readonly objects: number;
    readonly skeletonBytes: number;
  };
  readonly layers: readonly DeltaLayer[];
  /** The first is the skeleton. */
  readonly contents: readonly DeltaContent[];
  readonly groups: readonly DeltaGroup[];
}

export interface DeltaLayer {
  readonly diffId: Digest;
  readonly pieces: readonly DeltaPiece[];
}

/** Bytes of the skeleton, then an object; the last piece of a layer may lack it. */
export interface DeltaPiece {
  readonly inlineBytes: number;
  readonly object: number | undefined;
}

export interface DeltaContent {
  /** Lower-case hex; empty for the skeleton and for choices. */
  readonly objectId: string;
  readonly sizeBytes: number;
  /** The bytes in the groups are the content expanded; this makes it of them. */
  readonly packing: Packing;
  /** Of the bytes in the groups. */
  readonly expandedBytes: number;
  /** One after the other they are the base of its patch. The skeleton's is the old skeleton. */
  readonly bases: readonly DeltaBase[];
}

export interface DeltaBase {
  readonly object: number;
  readonly form: Form;
}

/** What of an object serves: all of it, what it expands to, or its choices as a gzip file (../deflate/choices.ts). */
export type Form = (typeof FORMS)[number];

/**
 * zstd: one frame of this level by the library. gzip: the file of these bytes whose choices are the content before it. choices: no object,
 * but what the next content needs. xz: what the program makes with these settings.
 */
export type Packing =
  | { readonly kind: "none" }
  | { readonly kind: "zstd"; readonly level: number }
  | { readonly kind: "gzip" }
  | { readonly kind: "choices" }
  | { readonly kind: "xz"; readonly settings: XzSettings };

/** Bytes of the streams of a group: zstd frames, and what they expand to. A stream of nothing has no frame. */
export interface DeltaGroup {
  readonly control: FrameSize;
  readonly gaps: FrameSize;
  readonly differences: FrameSize;
  readonly literals: FrameSize;
}

export interface FrameSize {
  readonly bytes: number;
  readonly expandedBytes: number;
}

/** Bytes of one object, as it is and expanded. */
export const CONTENT_BYTES_MAX = 1024 * 1024 * 1024;
/** Bytes of the content that a group makes. */
export const GROUP_BYTES_MAX = 8 * 1024 * 1024;
const CONTROL_BYTES_MAX = 64 * 1024 * 1024;
const LAYERS_MAX = 1024;
const OBJECTS_MAX = 4 * 1024 * 1024;
const PACKINGS = ["none", "zstd", "gzip", "choices", "xz"] as const;
const FORMS = ["plain", "expanded", "choices"] as const;
const XZ_FLAGS = { x86: 1, threads: 2 } as const;

/** A part of a content. */
export interface Segment {
  readonly content: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Which parts of contents each group holds. Small contents share a group; one that is larger than a group has several of its own.
 * Writer and reader derive it from the sizes.
 */
export function groupContents(contents: readonly Pick<DeltaContent, "expandedBytes">[]): Segment[][] {
  const groups: Segment[][] = [];
  let current: Segment[] = [];
  let filled = 0;
  const close = (): void => {
    if (current.length > 0) groups.push(current);
    current = [];
    filled = 0;
  };
  for (const [content, { expandedBytes }] of contents.entries()) {
    if (filled + expandedBytes > GROUP_BYTES_MAX) close();
    let start = 0;
    for (; expandedBytes - start > GROUP_BYTES_MAX; start += GROUP_BYTES_MAX)
      groups.push([{ content, start, end: start + GROUP_BYTES_MAX }]);
    current.push({ content, start, end: expandedBytes });
    filled += expandedBytes - start;
    if (start > 0) close();
  }
  close();
  return groups;
}

export function writeDeltaIndex(index: DeltaIndex): Buffer {
  const out = createNumberWriter();
  out.unsigned(index.algorithm === "sha256" ? 1 : 2);
  out.unsigned(index.old.layers.length);
  for (const layer of index.old.layers) writeDigest(out, layer);
  out.unsigned(index.old.objects);
  out.unsigned(index.old.skeletonBytes);
  out.unsigned(index.contents.length);
  for (const content of index.contents) writeContent(out, content);
  for (const { objectId } of index.contents) out.raw(Buffer.from(objectId, "hex"));
  out.unsigned(index.layers.length);
  for (const layer of index.layers) writeLayer(out, layer);
  for (const { control, gaps, differences, literals } of index.groups)
    for (const { bytes, expandedBytes } of [control, gaps, differences, literals]) {
      out.unsigned(bytes);
      out.unsigned(expandedBytes);
    }
  return out.finish();
}

/** Throws SyntaxError. */
export function readDeltaIndex(bytes: Buffer): DeltaIndex {
  const from = createNumberReader(bytes);
  const algorithm = from.unsigned("the digest algorithm", 2) === 1 ? "sha256" : "sha512";
  const count = (what: string, max: number): number => from.unsigned(what, Math.min(max, bytes.length));
  const oldLayers = repeat(count("the number of old layers", LAYERS_MAX), () => readDigest(from));
  const old = {
    layers: oldLayers,
    objects: from.unsigned("the number of old objects", OBJECTS_MAX),
    skeletonBytes: from.unsigned("the old skeleton's size", CONTENT_BYTES_MAX),
  };
  const sizes = repeat(count("the number of contents", OBJECTS_MAX), (i) => readContent(from, old.objects + i));
  if (sizes.length === 0) throw new SyntaxError("it has no skeleton");
  const idBytes = algorithm === "sha256" ? 32 : 64;
  if (sizes.some(({ sizeBytes }, i) => i > 0 && sizeBytes === 0)) throw new SyntaxError("an object is empty");
  const contents = sizes.map((content, i) =>
    i === 0 || content.packing.kind === "choices"
      ? content
      : { ...content, objectId: from.raw("an object's digest", idBytes).toString("hex") },
  );
  // Neither the skeleton nor choices are objects.
  const isObject = (number: number): boolean =>
    number >= 0 && (number < old.objects || (contents[number - old.objects]?.objectId ?? "") !== "");
  const limits = { bytes: bytes.length, isObject };
  const layers = repeat(count("the number of layers", LAYERS_MAX), () => readLayer(from, limits));
  const groups = groupContents(contents).map((segments) => readGroup(from, segments));
  from.end();
  return { algorithm, old, layers, contents, groups };
}

function repeat<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function writeDigest(out: NumberWriter, digest: Digest): void {
  out.unsigned(digestAlgorithm(digest) === "sha256" ? 1 : 2);
  out.raw(Buffer.from(digestHex(digest), "hex"));
}

function readDigest(from: NumberReader): Digest {
  const algorithm = from.unsigned("a digest's algorithm", 2) === 1 ? "sha256" : "sha512";
  const hex = from.raw("a digest", algorithm === "sha256" ? 32 : 64).toString("hex");
  return `${algorithm}:${hex}` as Digest;
}

function writeContent(out: NumberWriter, content: DeltaContent): void {
  const { packing } = content;
  out.unsigned(content.sizeBytes);
  out.unsigned(PACKINGS.indexOf(packing.kind));
  if (packing.kind === "zstd") out.unsigned(packing.level);
  if (packing.kind === "xz") writeXzSettings(out, packing.settings);
  if (isPacked(packing)) out.unsigned(content.expandedBytes);
  out.unsigned(content.bases.length);
  for (const { object, form } of content.bases) out.unsigned(object * FORMS.length + FORMS.indexOf(form));
}

/** `before`: references that it may use. */
function readContent(from: NumberReader, before: number): DeltaContent {
  const sizeBytes = from.unsigned("an object's size", CONTENT_BYTES_MAX);
  const packing = readPacking(from);
  const expandedBytes = isPacked(packing) ? from.unsigned("an object's expanded size", CONTENT_BYTES_MAX) : sizeBytes;
  const bases = repeat(from.unsigned("the number of bases", OBJECTS_MAX), () => {
    const value = from.unsigned("a base", before * FORMS.length - 1);
    return { object: Math.floor(value / FORMS.length), form: FORMS[value % FORMS.length] ?? "plain" };
  });
  return { objectId: "", sizeBytes, packing, expandedBytes, bases };
}

function readPacking(from: NumberReader): Packing {
  const kind = PACKINGS[from.unsigned("a packing", PACKINGS.length - 1)] ?? "none";
  if (kind === "zstd") return { kind, level: from.unsigned("a level", 22) };
  if (kind === "xz") return { kind, settings: readXzSettings(from) };
  return { kind };
}

function writeXzSettings(out: NumberWriter, { check, dictionary, x86, threads }: XzSettings): void {
  out.unsigned(XZ_CHECKS.indexOf(check));
  out.unsigned(dictionary);
  out.unsigned((x86 ? XZ_FLAGS.x86 : 0) + (threads ? XZ_FLAGS.threads : 0));
}

function readXzSettings(from: NumberReader): XzSettings {
  const check = XZ_CHECKS[from.unsigned("a check", XZ_CHECKS.length - 1)] ?? "none";
  const dictionary = from.unsigned("a dictionary", XZ_DICTIONARY_MAX);
  const flags = from.unsigned("the flags of xz", XZ_FLAGS.x86 + XZ_FLAGS.threads);
  return { check, dictionary, x86: (flags & XZ_FLAGS.x86) !== 0, threads: (flags & XZ_FLAGS.threads) !== 0 };
}

/** Whether the bytes in the groups are others than the content's. */
export function isPacked({ kind }: Packing): boolean {
  return kind === "zstd" || kind === "gzip" || kind === "xz";
}

function writeLayer(out: NumberWriter, { diffId, pieces }: DeltaLayer): void {
  writeDigest(out, diffId);
  out.unsigned(pieces.length);
  for (const { inlineBytes } of pieces) out.unsigned(inlineBytes);
  const objects = pieces.map(({ object }) => object).filter((object) => object !== undefined);
  out.unsigned(objects.length);
  // Objects follow each other mostly in the order in which they were first used.
  let expected = 0;
  for (const object of objects) {
    out.signed(object - expected);
    expected = object + 1;
  }
}

function readLayer(from: NumberReader, limits: { bytes: number; isObject: (number: number) => boolean }): DeltaLayer {
  const diffId = readDigest(from);
  const count = from.unsigned("the number of a layer's pieces", limits.bytes);
  const inline = repeat(count, () => from.unsigned("a piece's size", CONTENT_BYTES_MAX));
  const objects = from.unsigned("the number of a layer's objects", count);
  if (objects + 1 < count) throw new SyntaxError("a layer has two pieces without an object between them");
  let expected = 0;
  const pieces = inline.map((inlineBytes, i): DeltaPiece => {
    if (i >= objects) return { inlineBytes, object: undefined };
    const object = expected + from.signed("an object");
    if (!limits.isObject(object)) throw new SyntaxError(`a layer refers to ${object}, which is no object`);
    expected = object + 1;
    return { inlineBytes, object };
  });
  return { diffId, pieces };
}

function readGroup(from: NumberReader, segments: readonly Segment[]): DeltaGroup {
  const size = segments.reduce((sum, { start, end }) => sum + end - start, 0);
  const frame = (what: string, max: number): FrameSize => {
    const bytes = from.unsigned(`the size of ${what}`, max + FRAME_OVERHEAD_BYTES);
    return { bytes, expandedBytes: from.unsigned(`the expanded size of ${what}`, max) };
  };
  return {
    control: frame("instructions", CONTROL_BYTES_MAX),
    // A gap takes at most as many bytes as it and its difference span.
    gaps: frame("gaps", size),
    differences: frame("differences", size),
    literals: frame("literals", size),
  };
}

/** What zstd adds at most to bytes that it cannot compress, for GROUP_BYTES_MAX and much beyond. */
const FRAME_OVERHEAD_BYTES = 256 * 1024;

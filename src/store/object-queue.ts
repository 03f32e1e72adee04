/**
 * ObjectQueue: takes the contents of a layer's files one after the other and gives their object ids back in the same order.
 * Small layers are written at once, in this thread; when a layer turns out to be large, the rest goes to worker threads.
 */
import { Failure } from "../core/failure.ts";
import { type ContentInProgress, createContentWriter, type WrittenObject } from "./content-writer.ts";
import type { ObjectWriter } from "./object-writer.ts";
import type { ObjectPool } from "./object-pool.ts";
import { BUFFER_BYTES } from "./object-protocol.ts";

export interface ObjectQueue {
  /** Starts the next object. */
  begin(sizeBytes: number): void;
  /** The next object is here already. */
  reuse(object: WrittenObject, sizeBytes: number): void;
  /** Bytes of it; copied. The last of them end it. */
  write(bytes: Uint8Array): void;
  /** Waits while too much is under way. Throws what a worker threw. */
  ready(): Promise<void>;
  /** Waits until every id was given. */
  flush(): Promise<void>;
  /** Gives up the object that is being written. */
  abandon(): void;
}

export type OnObject = (object: WrittenObject, sizeBytes: number) => void;

/** Objects up to this size are collected, hashed and then written; larger ones are written as they come. */
export const COLLECT_BYTES_MAX = BUFFER_BYTES;
/** Bytes that a layer may bring before workers are asked. */
const LOCAL_BYTES_MAX = 4 * 1024 * 1024;

interface Slot {
  readonly sizeBytes: number;
  object: WrittenObject | undefined;
}

/** `onObject` is called in the order of begin(). */
export function createObjectQueue(writer: ObjectWriter, pool: ObjectPool | undefined, onObject: OnObject): ObjectQueue {
  const slots: Slot[] = [];
  let first = 0;
  let localBytes = 0;
  let current: { readonly slot: Slot; left: number; readonly sink: Sink } | undefined;

  const settle = (): void => {
    for (let slot = slots[first]; slot?.object !== undefined; slot = slots[first]) {
      first += 1;
      onObject(slot.object, slot.sizeBytes);
    }
    if (first > 1024) {
      slots.splice(0, first);
      first = 0;
    }
  };
  const local = createLocalSink(writer);
  const remote = pool === undefined ? undefined : pool.open();

  const finish = (slot: Slot, object: WrittenObject): void => {
    slot.object = object;
    settle();
  };

  return {
    begin(sizeBytes) {
      if (current !== undefined) throw new Failure("io", "Cannot start an object: the last one is not complete");
      const slot: Slot = { sizeBytes, object: undefined };
      slots.push(slot);
      const useRemote = remote !== undefined && localBytes > LOCAL_BYTES_MAX && remote.isReady();
      if (!useRemote) localBytes += sizeBytes;
      const sink = useRemote ? remote : local;
      sink.begin(sizeBytes, (object) => finish(slot, object));
      current = { slot, left: sizeBytes, sink };
    },
    reuse(object, sizeBytes) {
      slots.push({ sizeBytes, object });
      settle();
    },
    write(bytes) {
      if (current === undefined) throw new Failure("io", "Cannot write to an object: none was started");
      current.sink.write(bytes);
      current.left -= bytes.length;
      if (current.left === 0) current = undefined;
    },
    async ready() {
      if (remote !== undefined) await remote.ready();
    },
    async flush() {
      if (remote !== undefined) await remote.flush();
      settle();
    },
    abandon() {
      current = undefined;
      local.abandon();
      remote?.close();
    },
  };
}

/** Where the bytes of objects go. `done` is called with the object, once. */
export interface Sink {
  begin(sizeBytes: number, done: (object: WrittenObject) => void): void;
  write(bytes: Uint8Array): void;
}

function createLocalSink(objects: ObjectWriter): Sink & { abandon(): void } {
  const writer = createContentWriter(objects);
  let collected = Buffer.alloc(0);
  let size = 0;
  let filled = 0;
  let large: ContentInProgress | undefined;
  let report: (object: WrittenObject) => void = () => {};
  return {
    begin(sizeBytes, done) {
      size = sizeBytes;
      filled = 0;
      report = done;
      large = sizeBytes > COLLECT_BYTES_MAX ? writer.begin() : undefined;
      if (large === undefined && collected.length < sizeBytes)
        collected = Buffer.allocUnsafeSlow(Math.max(sizeBytes, 65536));
    },
    write(bytes) {
      // The usual small file comes in one piece and needs no copy.
      if (large === undefined && filled === 0 && bytes.length === size) {
        report(writer.put(bytes));
        return;
      }
      if (large === undefined) collected.set(bytes, filled);
      else large.write(bytes);
      filled += bytes.length;
      if (filled < size) return;
      const object = large === undefined ? writer.put(collected.subarray(0, size)) : large.finish();
      large = undefined;
      report(object);
    },
    abandon() {
      large?.abandon();
      large = undefined;
    },
  };
}

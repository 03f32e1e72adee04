/** What the object pool and its workers say to each other. */
import type { DigestAlgorithm } from "../core/digest.ts";
import type { WrittenObject } from "./content-writer.ts";

/** Bytes of one shared buffer; an object that is larger travels in parts. */
export const BUFFER_BYTES = 1024 * 1024;

/** What the worker is started with. */
export interface WorkerSetup {
  /** BUFFERS of BUFFER_BYTES each. */
  readonly memory: SharedArrayBuffer;
  readonly directory: string;
  readonly algorithm: DigestAlgorithm;
  readonly verity: boolean;
  readonly unique: string;
}

/** The number of a shared buffer, or a buffer that is moved: when more layers come at once than there are shared ones. */
export type JobBuffer = number | ArrayBuffer;

/**
 * To the worker. `sizes` are whole objects in the buffer, one after the other; a `part` is a piece of one large object.
 */
export type WorkerJob =
  | { readonly kind: "objects"; readonly job: number; readonly buffer: JobBuffer; readonly sizes: readonly number[] }
  | {
      readonly kind: "part";
      readonly job: number;
      readonly buffer: JobBuffer;
      readonly size: number;
      readonly object: number;
      readonly last: boolean;
    }
  | { readonly kind: "abandon"; readonly object: number }
  /** Starts writing to disk what is in memory, so that the last sync has little to wait for. */
  | { readonly kind: "sync"; readonly job: number };

/** From the worker: the buffer may be used again; the objects are those that are complete. */
export type WorkerReply =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly job: number; readonly objects: readonly WrittenObject[] }
  | {
      readonly kind: "failed";
      readonly job: number;
      readonly code: string | undefined;
      readonly message: string;
      readonly hint: string | undefined;
    };

/** createContentWriter(): an ObjectWriter that also says what the content hashes to by itself, which is how other formats name it. */
import { createHash, hash } from "node:crypto";
import type { ObjectInProgress, ObjectWriter } from "./object-writer.ts";

export interface WrittenObject {
  /** Hex of its fs-verity digest. */
  readonly id: string;
  /** Hex of the sha256 of its content. */
  readonly contentHash: string;
}

export interface ContentWriter {
  put(content: Uint8Array): WrittenObject;
  begin(): ContentInProgress;
}

export interface ContentInProgress extends Omit<ObjectInProgress, "finish"> {
  finish(): WrittenObject;
}

export function createContentWriter(writer: ObjectWriter): ContentWriter {
  return {
    put: (content) => ({ id: writer.put(content), contentHash: hash("sha256", content, "hex") }),
    begin() {
      const object = writer.begin();
      const state = createHash("sha256");
      return {
        write(bytes) {
          object.write(bytes);
          state.update(bytes);
        },
        finish: () => ({ id: object.finish(), contentHash: state.digest("hex") }),
        abandon: () => object.abandon(),
      };
    },
  };
}

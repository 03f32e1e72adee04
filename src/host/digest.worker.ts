/** The entry of a worker thread that hashes files while others write them (see file-digester.ts). */
import { createFileHashing, type HashingStep } from "./file-hashing.ts";
import { connectToParent } from "./worker.ts";

const hash = createFileHashing();
const answer = connectToParent((message) => {
  const found = hash(message as HashingStep);
  if (found !== undefined) answer(found);
});

/** The entry of a worker thread that encodes groups of a delta (see encode-pool.ts): one job at a time, one answer each. */
import { createLinuxFiles } from "../../host/linux-files.ts";
import { connectToParent } from "../../host/worker.ts";
import { createGroupEncoder, type EncodeJob } from "./encode-group.ts";
import type { EncodeReply } from "./encode-pool.ts";

const encode = createGroupEncoder(createLinuxFiles());
const answer = connectToParent((message) => {
  try {
    answer({ kind: "done", groups: encode(message as EncodeJob) } satisfies EncodeReply);
  } catch (error) {
    answer({ kind: "failed", message: error instanceof Error ? error.message : String(error) } satisfies EncodeReply);
  }
});

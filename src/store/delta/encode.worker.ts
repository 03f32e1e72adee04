/** The entry of a worker thread that encodes groups of a delta (see encode-pool.ts): one job at a time, one answer each. */
import { exec } from "../../host/linux-exec.ts";
import { createLinuxFiles } from "../../host/linux-files.ts";
import { connectToParent } from "../../host/worker.ts";
import { createGroupEncoder, type EncodeJob } from "./encode-group.ts";
import type { EncodeReply } from "./encode-pool.ts";

const encode = createGroupEncoder({ files: createLinuxFiles(), exec });
const answer = connectToParent((message) => {
  encode(message as EncodeJob).then(
    (groups) => answer({ kind: "done", groups } satisfies EncodeReply),
    (error: unknown) =>
      answer({ kind: "failed", message: error instanceof Error ? error.message : String(error) } satisfies EncodeReply),
  );
});

/** lockAlone(): an exclusive lock at once, or a Failure in the words of who wants it. */
import { Failure, isFailure } from "../core/failure.ts";
import type { Files, Lock } from "./host.ts";

/** Failure "busy" with `message` and `hint` while another process holds `path`, a directory or a file. */
export function lockAlone(files: Pick<Files, "lock">, path: string, message: string, hint: string): Lock {
  try {
    return files.lock(path, "exclusive", { wait: false });
  } catch (error) {
    if (!isFailure(error, "busy")) throw error;
    throw new Failure("busy", message, { hint });
  }
}

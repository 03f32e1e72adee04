/** endWith(): ends the program with an exit status that is somebody else's (a container's), without a word. */
import { Failure } from "../core/failure.ts";

export function endWith(exitCode: number): never {
  throw new Failure("exec-failed", "", { exitCode });
}

/**
 * The file that makes a deployment "staged". It lies on a tmpfs: a crash or a plain power-off forgets it, and with it the update.
 *
 * @see bootc crates/lib/src/bootc_composefs: {"depl_id": "<id>", "finalization_locked": false}
 */
import type { Files } from "../host/host.ts";
import { asObject, asString } from "../core/json.ts";
import { isDeploymentId, STAGED_FILE } from "./layout.ts";

export interface StagedState {
  readonly id: string;
  /** Downloaded only: the shutdown does not make it the default. */
  readonly locked: boolean;
}

/** undefined when nothing is staged; also when the file is malformed, because then nothing will be finalised. */
export function readStaged(files: Files): StagedState | undefined {
  const text = files.readTextIfAny(STAGED_FILE);
  if (text === undefined) return undefined;
  try {
    const object = asObject(JSON.parse(text), "staged deployment");
    const id = asString(object["depl_id"], "staged deployment.depl_id");
    return isDeploymentId(id) ? { id, locked: object["finalization_locked"] === true } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export function writeStaged(files: Files, staged: StagedState): void {
  files.makeDirectory(STAGED_FILE.slice(0, STAGED_FILE.lastIndexOf("/")));
  files.replace(STAGED_FILE, JSON.stringify({ depl_id: staged.id, finalization_locked: staged.locked }), {
    mode: 0o644,
  });
}

export function removeStaged(files: Files): void {
  files.remove(STAGED_FILE);
}

/**
 * createObjectCheck(): the objects that a delta is made from are what their names say. From damaged ones it would be a delta that every
 * machine refuses, and no machine could say why.
 */
import { Failure, isFailure } from "../../core/failure.ts";
import { hashObject } from "../hash-file.ts";
import type { Repository } from "../repository.ts";
import { objectPath, REPAIR_HINT } from "../streams.ts";

/** Hashes each object once, however often it is asked about. Failure "corrupt" naming the first that is damaged. */
export type ObjectCheck = (objectIds: Iterable<string>) => void;

export function createObjectCheck(repository: Repository, signal: AbortSignal | undefined): ObjectCheck {
  const sound = new Set<string>();
  return (objectIds) => {
    for (const objectId of objectIds) {
      if (sound.has(objectId)) continue;
      signal?.throwIfAborted();
      const actual = digestOnDisk(repository, objectId);
      if (actual !== objectId) throw damagedObject(objectId, `its content has the digest ${actual}`);
      sound.add(objectId);
    }
  };
}

/** Failure "corrupt" that names the object and how to repair the store. */
export function damagedObject(objectId: string, state: string, cause?: unknown): Failure {
  return new Failure("corrupt", `Cannot read object "${objectId}" of the store: ${state}`, {
    cause,
    hint: REPAIR_HINT,
  });
}

function digestOnDisk(repository: Repository, objectId: string): string {
  const { algorithm, host } = repository;
  try {
    return hashObject(host.files, objectPath(repository, objectId), { algorithm });
  } catch (error) {
    throw isFailure(error) ? damagedObject(objectId, "it is missing or unreadable", error) : error;
  }
}

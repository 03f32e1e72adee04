/**
 * UploadRecord: where the upload of a blob to a repository was begun, kept on disk until it ends, so that a push goes on after a
 * crash. How far it got is not kept: only the registry knows that, and is asked. One process at a time has a record, by a lock on the
 * file itself; the next one uploads on its own.
 *
 * `<state>/uploads/<sha256 of repository and digest>.json`, readable by its owner only: some registries sign the address.
 */
import { textToByteName } from "../core/bytes.ts";
import { type Digest, digestHex, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { asString, parseJsonObject } from "../core/json.ts";
import type { Host, Lock } from "../host/host.ts";
import { WORKSTATION_STORE } from "../store/paths.ts";

export interface UploadRecord extends Disposable {
  /** Where an earlier push began; undefined when none did. */
  readonly location: string | undefined;
  keep(location: string): void;
  forget(): void;
}

/** Registries drop unfinished uploads after about a week. */
const ABANDONED_MS = 7 * 24 * 3600 * 1000;

const UNRECORDED: UploadRecord = { location: undefined, keep() {}, forget() {}, [Symbol.dispose]() {} };

/** `repository` is `host/path`. Where nothing can be kept, the record is empty. */
export function openUploadRecord(
  host: Pick<Host, "files" | "env" | "user" | "clock">,
  repository: string,
  digest: Digest,
): UploadRecord {
  const directory = recordsDirectory(host);
  if (directory === undefined) return UNRECORDED;
  const { files } = host;
  const path = `${directory}/${digestHex(digestOf(`${repository}@${digest}`))}.json`;
  const lock = takeLock(host, directory, path);
  if (lock === undefined) return UNRECORDED;
  const text = files.readTextIfAny(path) ?? "";
  const location = text === "" ? undefined : readLocation(text, repository, digest);
  let isKept = location !== undefined;
  return {
    location,
    keep(begun) {
      // In place, because the lock is on the file; a torn text counts as none.
      files.write(path, JSON.stringify({ repository, digest, location: begun }), { mode: 0o600 });
      isKept = true;
    },
    forget() {
      isKept = false;
    },
    [Symbol.dispose]() {
      if (!isKept) files.remove(path);
      lock.release();
    },
  };
}

/** undefined when another process has it, or nothing can be written here. */
function takeLock(host: Pick<Host, "files" | "clock">, directory: string, path: string): Lock | undefined {
  const { files } = host;
  try {
    files.makeDirectory(directory, { mode: 0o700 });
    for (const name of files.listIfAny(directory)) {
      const stat = files.lstat(`${directory}/${name}`);
      const isOld = stat !== undefined && stat.mtimeSec * 1000 < host.clock.now() - ABANDONED_MS;
      if (isOld) files.remove(`${directory}/${name}`);
    }
    const lock = files.lock(path, "exclusive", { wait: false });
    // The holder before us may have removed the file that we now have locked.
    if (files.exists(path)) return lock;
    lock.release();
    return undefined;
  } catch (error) {
    if (isFailure(error, "busy") || isFailure(error, "denied")) return undefined;
    throw error;
  }
}

function readLocation(text: string, repository: string, digest: Digest): string | undefined {
  try {
    const object = parseJsonObject(text, "upload record");
    if (object["repository"] !== repository || object["digest"] !== digest) return undefined;
    const location = asString(object["location"], "location");
    return URL.canParse(location) ? location : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Beside the store for root; @see XDG Base Directory Specification for others. */
function recordsDirectory(host: Pick<Host, "env" | "user">): string | undefined {
  const { BERTH_STORE, XDG_STATE_HOME, HOME } = host.env;
  if (BERTH_STORE?.startsWith("/") === true) return textToByteName(`${BERTH_STORE}/uploads`);
  if (host.user.uid === 0) return `${WORKSTATION_STORE}/uploads`;
  if (XDG_STATE_HOME?.startsWith("/") === true) return textToByteName(`${XDG_STATE_HOME}/berth/uploads`);
  return HOME?.startsWith("/") === true ? textToByteName(`${HOME}/.local/state/berth/uploads`) : undefined;
}

/**
 * createBlobPusher(): blobs into one repository. What is there is skipped, what another repository of the registry has is mounted,
 * the rest is one streaming PUT; after a broken connection or a crash it goes on where the registry has got to. No blob is uploaded
 * twice at the same time, and a refused upload is cancelled.
 *
 * @see OCI distribution-spec "Pushing blobs", "Mounting a blob from another repository", "Cancelling an upload"
 */
import type { Digest } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { refusal } from "./answer.ts";
import type { RemoteContext } from "./context.ts";
import type { Session } from "./session.ts";
import { statusFailure, waitToRetry } from "./retry.ts";
import { givenAddress, type TransportResponse } from "./transport.ts";
import { openUploadRecord, type UploadRecord } from "./upload-record.ts";

export interface BlobToPush {
  readonly blob: Descriptor;
  /** The blob's bytes from position `from` on. */
  readonly open: (from: number) => AsyncIterable<Uint8Array>;
  /** A repository of the same registry that probably has it. */
  readonly mountFrom?: string | undefined;
  /** Called with bytes that the registry has now and had not before. */
  readonly onSent: (count: number) => void;
}

export interface PushedBlob {
  readonly sentBytes: number;
  /** Why nothing was sent, e.g. "skipped: already exists". */
  readonly note: string | undefined;
}

export interface BlobPusher {
  /** Failure "network", "denied", "io". */
  push(upload: BlobToPush): Promise<PushedBlob>;
}

const ATTEMPTS = 5;
const HERE: PushedBlob = { sentBytes: 0, note: "skipped: already exists" };

export function createBlobPusher(context: RemoteContext, session: Session): BlobPusher {
  const running = new Map<Digest, Promise<PushedBlob>>();
  return {
    async push(upload) {
      const { digest } = upload.blob;
      const other = running.get(digest);
      if (other !== undefined) {
        await other;
        return HERE;
      }
      const own = pushOnce(context, session, upload);
      running.set(digest, own);
      return own;
    },
  };
}

/** Begins an upload and cancels it: nothing else tells. Failure "unauthorized", "denied", "network". */
export async function requireWritable(session: Session): Promise<void> {
  await cancel(session, await begin(session));
}

/** Failure "network". */
export async function hasRemoteBlob(session: Session, digest: Digest): Promise<boolean> {
  const head = await session.request("HEAD", `blobs/${digest}`);
  head.discard();
  return head.status === 200;
}

async function pushOnce(context: RemoteContext, session: Session, upload: BlobToPush): Promise<PushedBlob> {
  const { blob, mountFrom } = upload;
  if (await hasRemoteBlob(session, blob.digest)) return HERE;
  let begun: string | undefined;
  if (mountFrom !== undefined) {
    const target = `blobs/uploads/?mount=${blob.digest}&from=${encodeURIComponent(mountFrom)}`;
    const mounted = await session.request("POST", target, { alsoRead: mountFrom });
    mounted.discard();
    if (mounted.status === 201) return { sentBytes: 0, note: `skipped: mounted from ${mountFrom}` };
    if (mounted.status === 202) begun = uploadLocation(mounted, session);
  }
  using record = openUploadRecord(context.host, session.name, blob.digest);
  const earlier = await resumePoint(session, upload, record.location);
  if (earlier === undefined) {
    return {
      sentBytes: await uploadFrom(context, session, upload, { location: begun, size: 0 }, record),
      note: undefined,
    };
  }
  if (begun !== undefined) await cancel(session, begun);
  try {
    return { sentBytes: await uploadFrom(context, session, upload, earlier, record), note: undefined };
  } catch (error) {
    if (!isFailure(error, "io")) throw error;
    // What an earlier run left there may be wrong: once more, from the first byte.
    const quiet = { ...upload, onSent() {} };
    return {
      sentBytes: await uploadFrom(context, session, quiet, { location: undefined, size: 0 }, record),
      note: undefined,
    };
  }
}

interface Position {
  /** undefined: not begun. */
  readonly location: string | undefined;
  readonly size: number;
}

/** Returns the bytes that the registry lacked. */
async function uploadFrom(
  context: RemoteContext,
  session: Session,
  upload: BlobToPush,
  start: Position,
  record: UploadRecord,
): Promise<number> {
  const { blob } = upload;
  let location = start.location ?? (await begin(session));
  let offset = start.size;
  let reached = offset;
  record.keep(location);
  upload.onSent(offset);
  const onPosition = (end: number): void => {
    upload.onSent(Math.max(0, end - reached));
    reached = Math.max(reached, end);
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const done = await putRest(session, upload, location, offset, onPosition);
      if (done.status === 201) {
        done.discard();
        record.forget();
        return blob.size - start.size;
      }
      const cannot = `Cannot push ${blob.digest} to "${session.name}"`;
      // 404: the session is gone; 416: the registry has got to another byte.
      if (done.status === 404 || done.status === 416) throw new Failure("network", `${cannot}: ${await refusal(done)}`);
      throw await statusFailure(context, done, cannot);
    } catch (error) {
      if (!isFailure(error, "network")) {
        // An interrupted push goes on later; a refused one never will.
        if (isFailure(error, "io")) {
          record.forget();
          await cancel(session, location);
        }
        throw error;
      }
      if (attempt >= ATTEMPTS) throw error;
      await waitToRetry(context, attempt - 1, error);
    }
    const state = await resumePoint(session, upload, location);
    location = state?.location ?? (await begin(session));
    offset = state?.size ?? 0;
    record.keep(location);
  }
}

async function begin(session: Session): Promise<string> {
  const response = await session.request("POST", "blobs/uploads/");
  if (response.status !== 202) {
    throw new Failure("network", `Cannot start an upload to "${session.name}": ${await refusal(response)}`);
  }
  response.discard();
  return uploadLocation(response, session);
}

async function putRest(
  session: Session,
  upload: BlobToPush,
  location: string,
  offset: number,
  onPosition: (end: number) => void,
): Promise<TransportResponse> {
  const { blob } = upload;
  const url = new URL(location);
  url.searchParams.set("digest", blob.digest);
  const rest = blob.size - offset;
  return session.request("PUT", url.href, {
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(rest),
      ...(offset > 0 && rest > 0 && { "content-range": `${offset}-${blob.size - 1}` }),
    },
    ...(rest > 0 && { body: () => counted(upload.open(offset), offset, onPosition) }),
    retries: 0,
  });
}

/** How far the registry has got; undefined when the upload must begin anew, and the old one is cancelled. */
async function resumePoint(
  session: Session,
  upload: BlobToPush,
  location: string | undefined,
): Promise<{ location: string; size: number } | undefined> {
  if (location === undefined) return undefined;
  const response = await session.request("GET", location);
  response.discard();
  if (response.status !== 204) return undefined;
  const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(response.headers["range"] ?? "")?.[1] ?? 0);
  const current = response.headers["location"] === undefined ? location : uploadLocation(response, session);
  // "0-0" is said of nothing and of one byte alike: nothing is the safe reading.
  if (last > 0 && last < upload.blob.size) return { location: current, size: last + 1 };
  await cancel(session, current);
  return undefined;
}

/** Frees what the registry keeps for it. A registry that cannot lets it expire. */
async function cancel(session: Session, location: string): Promise<void> {
  try {
    (await session.request("DELETE", location, { retries: 0 })).discard();
  } catch (error) {
    if (!isFailure(error, "network") && !isFailure(error, "denied") && !isFailure(error, "unauthorized")) throw error;
  }
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  offset: number,
  onPosition: (end: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = offset;
  for await (const chunk of source) {
    yield chunk;
    position += chunk.length;
    onPosition(position);
  }
}

function uploadLocation(response: TransportResponse, session: Session): string {
  const location = response.headers["location"];
  if (location === undefined) {
    throw new Failure("network", `Cannot push to "${session.name}": the registry gave no upload address`);
  }
  return givenAddress(location, response.url).href;
}

/** connectUpstream(): another registry as the pull-through cache needs it, by the client's sessions. */
import { isDigest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { asArray, asString, parseJsonObject } from "../core/json.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST } from "../oci/media-types.ts";
import type { UpstreamOptions } from "../registry/pull-through/open-pull-through.ts";
import type { Upstream } from "../registry/pull-through/upstream.ts";
import { isTag } from "../registry/route.ts";
import { readText, refusal } from "../remote/answer.ts";
import type { RemoteContext } from "../remote/context.ts";
import { fetchBlob } from "../remote/fetch-blob.ts";
import { fetchManifest } from "../remote/fetch-manifest.ts";
import { nextPage } from "../remote/next-page.ts";
import { listReferrers } from "../remote/referrers.ts";
import { openSession, type Session } from "../remote/session.ts";
import type { TransportResponse } from "../remote/transport.ts";

const ACCEPT = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
const SESSIONS_MAX = 1000;
const PAGES_MAX = 1000;
const TAGS_MAX = 1_000_000;
/** Somebody waits for the answer, and what is kept can stand in for it. */
const RETRIES = 0;

export function connectUpstream(client: RemoteContext, options: UpstreamOptions): Upstream {
  const { location, insecure, authFile } = options;
  const context: RemoteContext = { ...client, authFile: authFile ?? client.authFile };
  const sessions = new Map<string, Promise<Session>>();
  const sessionFor = (path: string): Promise<Session> => {
    const whole = location.path === "" ? path : `${location.path}/${path}`;
    const known = sessions.get(whole);
    if (known !== undefined) return known;
    const endpoint = { host: location.host, path: whole, insecure, isMirror: false };
    const opened = openSession(context, endpoint, { access: "pull" });
    if (sessions.size >= SESSIONS_MAX) sessions.clear();
    sessions.set(whole, opened);
    opened.catch(() => sessions.delete(whole));
    return opened;
  };
  /** undefined for 404. Failure "network" for every status that is not in `wanted`. */
  const ask = async (
    path: string,
    method: string,
    target: string,
    { headers = {}, wanted = [200] }: { headers?: Record<string, string>; wanted?: readonly number[] } = {},
  ): Promise<TransportResponse | undefined> => {
    const session = await sessionFor(path);
    const response = await session.request(method, target, { headers, retries: RETRIES });
    if (wanted.includes(response.status)) return response;
    if (response.status !== 404) {
      throw new Failure("network", `Cannot read "${session.name}": ${await refusal(response)}`);
    }
    response.discard();
    return undefined;
  };

  return {
    name: location.path === "" ? location.host : `${location.host}/${location.path}`,
    async tagDigest(path, tag, known) {
      const headers = { accept: ACCEPT, ...(known !== undefined && { "if-none-match": `"${known}"` }) };
      const response = await ask(path, "HEAD", `manifests/${tag}`, { headers, wanted: [200, 304] });
      response?.discard();
      if (response?.status === 304) return known;
      const stated = response?.headers["docker-content-digest"];
      if (response === undefined) return undefined;
      if (stated !== undefined && isDigest(stated)) return stated;
      return (await fetchManifest(await sessionFor(path), tag, { retries: RETRIES }))?.digest;
    },
    manifest: async (path, selector) => fetchManifest(await sessionFor(path), selector, { retries: RETRIES }),
    async blobSize(path, digest) {
      const response = await ask(path, "HEAD", `blobs/${digest}`);
      response?.discard();
      if (response === undefined) return undefined;
      const length = response.headers["content-length"];
      if (length !== undefined && /^\d{1,15}$/.test(length)) return Number(length);
      throw new Failure("bad-input", `Cannot fetch ${digest} from "${location.host}": it does not say how large it is`);
    },
    async *blob(path, digest, size) {
      const descriptor = { mediaType: "application/octet-stream", digest, size };
      yield* fetchBlob(context, await sessionFor(path), descriptor);
    },
    async tags(path) {
      const tags: string[] = [];
      let target = "tags/list";
      for (let page = 0; page < PAGES_MAX && tags.length < TAGS_MAX; page += 1) {
        const response = await ask(path, "GET", target);
        if (response === undefined) return page === 0 ? undefined : tags;
        const text = await readText(response, MANIFEST_BYTES_MAX);
        for (const tag of wellFormed(location.host, () => parseTags(text))) tags.push(tag);
        const next = nextPage(response);
        if (next === undefined) return tags;
        target = next;
      }
      throw new Failure("bad-input", `Cannot list the tags of "${location.host}/${path}": the list does not end`);
    },
    referrers: async (path, subject) => listReferrers(await sessionFor(path), subject),
  };
}

/** Without what is no tag: nobody could ask for it, and it would be told as if this registry had it. */
function parseTags(text: string): string[] {
  return asArray(parseJsonObject(text, "tags")["tags"] ?? [], "tags.tags")
    .map((tag) => asString(tag, "tags.tags[]"))
    .filter(isTag);
}

function wellFormed<T>(host: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new Failure("bad-input", `Cannot read the answer of "${host}": it is malformed`, { cause });
  }
}

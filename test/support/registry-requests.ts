/**
 * Requests to a registry, from a seed: mostly sensible ones, so that there is state to break, and each part now and then replaced by
 * something that nobody should send.
 */
import { createHash } from "node:crypto";
import { mutate, type Random } from "./mutate.ts";

export interface Known {
  /** Paths of upload sessions that the registry gave. */
  readonly sessions: readonly string[];
  /** Digests of manifests that it took. */
  readonly manifests: readonly string[];
}

export interface FuzzRequest {
  readonly method: string;
  /** Path and query; with the origin a URL. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Uint8Array[] | undefined;
  /** The client goes away after its last piece. */
  readonly cut: boolean;
}

export const REPOSITORIES: readonly string[] = ["a", "team/os", "team/os-test/deep__er", "z9"];
export const TAGS: readonly string[] = ["latest", "v1", "V1", "_x", "1.0-rc.1"];
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const TYPES = ["application/vnd.oci.image.config.v1+json", "application/vnd.example.sbom", "text/plain", ""];

export const CONTENTS: readonly Buffer[] = Array.from({ length: 12 }, (_, i) =>
  i === 0 ? Buffer.alloc(0) : Buffer.alloc(i * i * 37, `content ${i} `),
);

export function digestOf(bytes: Uint8Array, algorithm = "sha256"): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** Digest to content, in both algorithms. */
export const BY_DIGEST: ReadonlyMap<string, Buffer> = new Map(
  CONTENTS.flatMap((bytes) => ["sha256", "sha512"].map((algorithm) => [digestOf(bytes, algorithm), bytes] as const)),
);
const DIGESTS = [...BY_DIGEST.keys()];

const JUNK = [
  "",
  ".",
  "..",
  "/",
  "//",
  "%2e%2e",
  "%00",
  "%",
  "%zz",
  "%ff",
  "a/../b",
  "-",
  "_",
  "sha256:",
  "sha256:xyz",
  "md5:00",
  "sha512:ab",
  "\u00e4",
  "\u{1f40b}",
  "A",
  "a".repeat(300),
  "0".repeat(64),
  " ",
  "+",
  "a+b",
  "*",
  "?",
  "#",
  "tags",
  "list",
  "uploads",
  "_catalog",
  "__proto__",
  "constructor",
  "1e9",
  "-1",
  "99999999999999999999",
  "null",
  "[]",
  "{}",
  "\\",
  "'",
  '"',
  "<x>",
  ";",
  ":",
]; // prettier-ignore

export function fuzzRequest(random: Random, known: Known): FuzzRequest {
  const pick = <T>(list: readonly [T, ...T[]] | readonly T[]): T => list[random(list.length)] as T;
  const odd = (one: number): boolean => random(one) === 0;
  const text = (sensible: () => string): string => (odd(25) ? pick(JUNK) : sensible());
  const repository = (): string => text(() => pick(REPOSITORIES));
  const tag = (): string => text(() => pick(TAGS));
  const digest = (): string => text(() => pick(DIGESTS));
  const manifestDigest = (): string => (known.manifests.length === 0 || odd(4) ? digest() : pick(known.manifests));
  const method = (...usual: readonly string[]): string =>
    odd(30) ? pick(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "M-SEARCH"]) : pick(usual);
  const split = (bytes: Buffer): Buffer[] => {
    const at = random(bytes.length + 1);
    return odd(2) ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
  };
  const request = (
    verb: string,
    path: string,
    more: { query?: Record<string, string | readonly string[]>; headers?: Record<string, string>; body?: Buffer } = {},
  ): FuzzRequest => {
    const query = Object.entries(more.query ?? {}).flatMap(([key, value]) =>
      [value].flat().map((entry) => `${key}=${odd(10) ? entry : encodeURIComponent(entry)}`),
    );
    const bodyless = verb === "GET" || verb === "HEAD" || verb === "TRACE";
    const damaged = odd(20) ? damage(path, random, pick(JUNK)) : path;
    return {
      method: verb,
      target: `/v2/${damaged}${query.length > 0 ? `?${query.join("&")}` : ""}`,
      headers: sendable({ ...conditions(), ...more.headers }),
      body: bodyless ? undefined : more.body && split(more.body),
      cut: !bodyless && odd(40),
    };
  };
  const conditions = (): Record<string, string> =>
    odd(12)
      ? {
          [pick(["if-none-match", "if-range", "accept", "authorization", "range", "content-range", "content-length"])]:
            pick([
              ...["*", '"x"', "W/", ",,,", "bytes=0-", "Basic x", "0", "99", "-1", "x".repeat(200)],
              `"${pick(DIGESTS)}"`,
            ]),
        }
      : {};

  const makers: readonly (() => FuzzRequest)[] = [
    blob,
    blob,
    () => request(method("DELETE"), `${repository()}/blobs/${digest()}`),
    readManifest,
    () => request(method("DELETE"), `${repository()}/manifests/${odd(2) ? tag() : manifestDigest()}`),
    () => request(method("GET"), `${repository()}/tags/list`, { query: paging() }),
    () => request(method("GET"), "_catalog", { query: paging() }),
    () =>
      request(method("GET"), `${repository()}/referrers/${manifestDigest()}`, {
        query: odd(2) ? { artifactType: pick(TYPES) } : {},
      }),
    () =>
      request(method("POST"), `${repository()}/blobs/uploads/`, {
        query: odd(4) ? { "digest-algorithm": text(() => "sha512") } : {},
      }),
    () =>
      request(method("POST"), `${repository()}/blobs/uploads/`, {
        query: { mount: digest(), ...(odd(2) && { from: repository() }) },
      }),
    monolithic,
    monolithic,
    session,
    session,
    manifest,
    manifest,
    () => request(method("GET"), pick(JUNK)),
  ];
  return pick(makers)();

  function blob(): FuzzRequest {
    const name = digest();
    const headers = odd(8) ? { "if-none-match": `"${name}"` } : ranges();
    return request(method("GET", "HEAD"), `${repository()}/blobs/${name}`, { headers });
  }
  function readManifest(): FuzzRequest {
    const reference = odd(2) ? tag() : manifestDigest();
    const headers = odd(8) ? { "if-none-match": `W/"x", "${reference}"` } : {};
    return request(method("GET", "HEAD"), `${repository()}/manifests/${reference}`, { headers });
  }
  function ranges(): Record<string, string> {
    if (odd(2)) return {};
    if (odd(2)) return { range: pick(["bytes=0-", "bytes=-5", "bytes=1-3", "bytes=0-0,2-2", "bytes=0-0,0-0,0-0"]) };
    const edge = (): string => pick(["", "0", "1", "36", "37", "38", "500", "5000", "99999999999999999999", "x"]);
    const count = odd(10) ? random(5000) : 1 + random(3);
    return { range: `bytes=${Array.from({ length: count }, () => `${edge()}-${edge()}`).join(",")}` };
  }
  function paging(): Record<string, string> {
    return {
      ...(odd(2) && { n: text(() => String(random(4))) }),
      ...(odd(2) && { last: text(() => pick([...TAGS, ...REPOSITORIES])) }),
    };
  }
  function monolithic(): FuzzRequest {
    const name = pick(DIGESTS);
    const body = BY_DIGEST.get(name) ?? Buffer.alloc(0);
    return request("POST", `${repository()}/blobs/uploads/`, { query: { digest: odd(8) ? digest() : name }, body });
  }
  function session(): FuzzRequest {
    const path =
      known.sessions.length === 0 || odd(20) ? `${repository()}/blobs/uploads/${pick(JUNK)}` : pick(known.sessions);
    const name = pick(DIGESTS);
    const body = BY_DIGEST.get(name) ?? Buffer.alloc(0);
    const verb = method("PATCH", "PUT", "PUT", "GET", "DELETE");
    const from = odd(2) ? 0 : random(100);
    const range = odd(3) ? { "content-range": text(() => `${from}-${from + body.length - 1}`) } : {};
    return request(verb, path, {
      query: verb === "PUT" ? { digest: odd(8) ? digest() : name } : {},
      headers: range,
      body,
    });
  }
  function manifest(): FuzzRequest {
    const bytes = manifestBytes();
    const algorithm = odd(3) ? "sha512" : "sha256";
    const reference = odd(2) ? tag() : odd(8) ? digest() : digestOf(bytes, algorithm);
    const declared = bytes.includes('"manifests"') ? INDEX : MANIFEST;
    return request("PUT", `${repository()}/manifests/${reference}`, {
      query: odd(4) ? { tag: [tag(), tag()] } : {},
      headers: { "content-type": odd(15) ? pick([...JUNK, ...TYPES]) : declared },
      body: bytes,
    });
  }
  function manifestBytes(): Buffer {
    const odds = [null, 0, -1, "", [], {}, [[]], "x".repeat(100), true, 1e300] as const;
    const descriptor = (mediaType: string, name: string): object => ({
      mediaType,
      digest: name,
      size: BY_DIGEST.get(name)?.length ?? 1,
      ...(odd(20) && { [pick(["annotations", "urls", "platform", "size", "digest", "artifactType"])]: pick(odds) }),
    });
    const document: Record<string, unknown> = odd(4)
      ? {
          schemaVersion: 2,
          mediaType: INDEX,
          manifests: Array.from({ length: random(3) }, () => descriptor(MANIFEST, manifestDigest())),
        }
      : {
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: descriptor(pick(TYPES), pick(DIGESTS)),
          layers: Array.from({ length: random(3) }, () => descriptor(pick(TYPES), pick(DIGESTS))),
        };
    if (odd(3)) document["subject"] = descriptor(MANIFEST, manifestDigest());
    if (odd(4)) document["artifactType"] = pick(TYPES);
    if (odd(4)) document["annotations"] = { [pick(["a.b", "", "__proto__"])]: pick(["c", "\u0000", "\u{1f40b}"]) };
    if (odd(15)) document[pick(Object.keys(document))] = pick(odds);
    const bytes = Buffer.from(JSON.stringify(document));
    if (odd(200)) return Buffer.from(`{"a":${"[".repeat(random(5000))}`);
    return odd(15) ? mutate(bytes, random) : bytes;
  }
}

/** One character of the path removed, doubled or replaced by junk. */
function damage(path: string, random: Random, junk: string): string {
  const at = random(path.length);
  return `${path.slice(0, at)}${["", path.slice(at, at + 1).repeat(2), junk][random(3)]}${path.slice(at + 1)}`;
}

/** Without the values that no HTTP client can send. */
function sendable(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => /^[\x20-\x7e]*$/.test(value)));
}

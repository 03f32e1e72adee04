/** What cases expect of an answer: a status, an error of the specification, content under a digest. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Answer, type Client, jsonOf } from "./client.ts";

export type Algorithm = "sha256" | "sha512";
export const ALGORITHMS: readonly Algorithm[] = ["sha256", "sha512"];

export interface Case {
  readonly name: string;
  run(client: Client): Promise<void>;
}

export function digestOf(bytes: Buffer, algorithm: Algorithm = "sha256"): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** Bytes that look random and are the same for the same seed. */
export function contentOf(seed: string, size: number): Buffer {
  const pieces: Buffer[] = [];
  for (let block = 0; block * 64 < size; block += 1)
    pieces.push(createHash("sha512").update(`${seed}/${block}`).digest());
  return Buffer.concat(pieces).subarray(0, size);
}

export function expectStatus(answer: Answer, ...wanted: readonly number[]): Answer {
  assert.ok(
    wanted.includes(answer.status),
    `${answer.what}: ${answer.status}, wanted ${wanted.join(" or ")} (${answer.body.toString().slice(0, 200)})`,
  );
  return answer;
}

/** One of these statuses, and a body as "Error Codes" has it with this code. */
export function expectError(answer: Answer, code: string, ...wanted: readonly number[]): void {
  expectStatus(answer, ...wanted);
  const { errors } = jsonOf(answer);
  assert.ok(Array.isArray(errors) && errors.length > 0, `${answer.what}: no errors in the body`);
  const codes = errors.map((error: { code?: unknown }) => error.code);
  assert.ok(codes.includes(code), `${answer.what}: codes ${codes.join(", ")}, wanted ${code}`);
}

export function expectHeader(answer: Answer, name: string, wanted: string | RegExp): void {
  const value = answer.headers[name];
  const matches = typeof wanted === "string" ? value === wanted : wanted.test(value ?? "");
  assert.ok(matches, `${answer.what}: ${name} is ${JSON.stringify(value)}, wanted ${String(wanted)}`);
}

export function locationOf(answer: Answer): string {
  const location = answer.headers["location"];
  assert.ok(location, `${answer.what}: no Location`);
  return location;
}

export function withQuery(location: string, query: string): string {
  return `${location}${location.includes("?") ? "&" : "?"}${query}`;
}

/** GET and HEAD of `target` give exactly `bytes`, their length and their digest in the client's algorithm. */
export async function expectContent(
  client: Client,
  target: string,
  content: { readonly bytes: Buffer; readonly digest: string; readonly mediaType?: string },
): Promise<void> {
  const { bytes, digest, mediaType } = content;
  const accept = mediaType === undefined ? {} : { accept: mediaType };
  for (const method of ["GET", "HEAD"]) {
    const got = expectStatus(await client.call(method, target, { headers: accept }), 200);
    expectHeader(got, "docker-content-digest", digest);
    expectHeader(got, "content-length", String(bytes.length));
    if (mediaType !== undefined) expectHeader(got, "content-type", mediaType);
    const wanted = method === "HEAD" ? Buffer.alloc(0) : bytes;
    assert.ok(got.body.equals(wanted), `${got.what}: other bytes than were pushed`);
  }
}

/** The simplest way in: POST, then one PUT. */
export async function pushBlob(
  client: Client,
  repository: string,
  bytes: Buffer,
  algorithm: Algorithm = "sha256",
): Promise<string> {
  const digest = digestOf(bytes, algorithm);
  const session = expectStatus(await client.call("POST", `/v2/${repository}/blobs/uploads/`), 202);
  const target = withQuery(locationOf(session), `digest=${digest}`);
  expectStatus(await client.call("PUT", target, { body: bytes, headers: OCTETS }), 201);
  return digest;
}

export const OCTETS = { "content-type": "application/octet-stream" } as const;

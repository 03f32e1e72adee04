/** fetchBlob() over a real socket from a server that misbehaves: a table of faults, each met once, then the server is good. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { LAYER } from "../oci/media-types.ts";
import type { RemoteContext } from "./context.ts";
import { fetchBlob } from "./fetch-blob.ts";
import { openSession } from "./session.ts";

const host = createLinuxHost();
const content = Buffer.from("0123456789".repeat(100));
const blob = { mediaType: LAYER, digest: digestOf(content), size: content.length };

type Answer = (request: IncomingMessage, response: ServerResponse, start: number) => void;

/** Sends some bytes, then cuts the connection. */
const cut = (response: ServerResponse, bytes: Buffer): void =>
  void response.write(bytes, () => setImmediate(() => response.destroy()));

const good: Answer = (_request, response, start) => {
  const headers = { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` };
  response.writeHead(start === 0 ? 200 : 206, start === 0 ? {} : headers).end(content.subarray(start));
};

/** Name, the answers before the server is good, and the waits that they cost. */
const FAULTS: readonly (readonly [name: string, answers: readonly Answer[], waitsMs: readonly number[]])[] = [
  ["cuts the connection before an answer", [(_request, response) => response.destroy()], [1000]],
  [
    "cuts the connection in the middle",
    [(_request, response) => cut(response.writeHead(200, { "content-length": "1000" }), content.subarray(0, 400))],
    [500],
  ],
  [
    "says a length that is too long",
    [(_request, response) => cut(response.writeHead(200, { "content-length": "5000" }), content)],
    [],
  ],
  [
    "says a length that is too short",
    [(_request, response) => response.writeHead(200, { "content-length": "300" }).end(content.subarray(0, 300))],
    [500],
  ],
  [
    "ignores the range",
    [
      (_request, response) => response.writeHead(200, { "content-length": "300" }).end(content.subarray(0, 300)),
      (_request, response) => response.writeHead(200).end(content),
    ],
    [500],
  ],
  [
    "begins before the range",
    [
      (_request, response) => response.writeHead(200, { "content-length": "300" }).end(content.subarray(0, 300)),
      (_request, response) =>
        response.writeHead(206, { "content-range": "bytes 200-999/1000" }).end(content.subarray(200)),
    ],
    [500],
  ],
  ["answers 503", [(_request, response) => response.writeHead(503).end()], [1000]],
  ["answers 429 with seconds", [(_request, response) => response.writeHead(429, { "retry-after": "7" }).end()], [7000]],
  [
    "answers 503 with a date",
    [(_request, response) => response.writeHead(503, { "retry-after": "Thu, 01 Jan 1970 00:00:09 GMT" }).end()],
    [9000],
  ],
  ["asks for an hour", [(_request, response) => response.writeHead(429, { "retry-after": "3600" }).end()], [60_000]],
];

async function fetchFrom(answers: readonly Answer[]): Promise<{ bytes: Buffer; waits: number[] }> {
  const left = [...answers];
  const server = createServer((request, response) => {
    if (request.url === "/v2/") return void response.writeHead(200).end();
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    (left.shift() ?? good)(request, response, start);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const waits: number[] = [];
    const clock = { ...host.clock, now: () => 0, sleep: async (ms: number) => void waits.push(ms) };
    const context: RemoteContext = {
      host: { ...host, env: {}, clock, random: (sizeBytes) => new Uint8Array(sizeBytes) },
      progress: silent,
      tlsVerify: false,
    };
    const endpoint = { host: `127.0.0.1:${address.port}`, path: "team/os", insecure: true, isMirror: false };
    const session = await openSession(context, endpoint, { access: "pull" });
    waits.length = 0;
    return { bytes: await collectBytes(fetchBlob(context, session, blob)), waits };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

for (const [name, answers, waitsMs] of FAULTS) {
  test(`a blob comes whole from a server that ${name}`, async () => {
    const { bytes, waits } = await fetchFrom(answers);
    assert.deepEqual(bytes, content);
    assert.deepEqual(waits, waitsMs);
  });
}

test("a server that never gives a byte ends it after a bounded number of attempts", async () => {
  const never: Answer = (_request, response) => void response.writeHead(503).end();
  await assert.rejects(fetchFrom(Array.from({ length: 50 }, () => never)), (error) => isFailure(error, "network"));
});

test("a range of another blob is refused", async () => {
  const short: Answer = (_request, response) =>
    void response.writeHead(200, { "content-length": "300" }).end(content.subarray(0, 300));
  const other: Answer = (_request, response) =>
    void response.writeHead(206, { "content-range": "bytes 300-999/2000" }).end(content.subarray(300));
  await assert.rejects(fetchFrom([short, other]), (error) => isFailure(error, "io"));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { INDEX, MANIFEST } from "../oci/media-types.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { listReferrers, pushReferrer } from "./referrers.ts";
import { openSession } from "./session.ts";
import { createTestClient, REGISTRY } from "./testing.ts";

const endpoint = { host: REGISTRY, path: "team/os", insecure: true, isMirror: false };
type Handler = (request: Request) => Promise<Response>;

/** As Debian's docker-registry: no referrers API, and no word about subjects. */
function withoutReferrers(handler: Handler): Handler {
  return async (request) => {
    if (new URL(request.url).pathname.includes("/referrers/"))
      return new Response("404 page not found", { status: 404 });
    const response = await handler(request);
    response.headers.delete("oci-subject");
    return response;
  };
}

for (const [name, wrap] of [
  ["with the referrers API", (handler: Handler) => handler],
  ["without it, by the fallback tag", withoutReferrers],
] as const) {
  test(`what is pushed as a referrer is listed by its type ${name}`, async () => {
    using registry = openTestRegistry();
    const { digest, bytes } = await registry.pushImage("team/os", "v1");
    const empty = await registry.pushBlob("team/os", "{}");
    const config: Descriptor = { mediaType: "application/x-a", digest: empty, size: 2 };
    const client = createTestClient({ [REGISTRY]: wrap(registry.handler) });
    const session = await openSession(client.context, endpoint, { access: "pull,push" });
    const subject: Descriptor = { mediaType: MANIFEST, digest, size: bytes.length };
    assert.deepEqual(await listReferrers(session, digest, "application/x-a"), []);
    const pushed: Digest[] = [];
    for (const [artifactType, note] of [
      ["application/x-a", "one"],
      ["application/x-b", "other"],
      ["application/x-a", "two"],
      ["application/x-a", "two"],
    ] as const) {
      const manifest = { schemaVersion: 2, mediaType: MANIFEST, artifactType, config, layers: [], subject } as const;
      pushed.push(await pushReferrer(session, { ...manifest, annotations: { note } }));
    }
    const listed = await listReferrers(session, digest, "application/x-a");
    assert.deepEqual(
      new Map(listed.map((entry) => [entry.annotations?.["note"], entry.digest])),
      new Map([
        ["one", pushed[0]],
        ["two", pushed[2]],
      ]),
    );
    assert.equal(listed.length, 2);
  });
}

test("a list in pages is read to its end; one that is malformed or a failing server is an error", async () => {
  const entry = (letter: string): object => ({
    mediaType: MANIFEST,
    digest: digestOf(letter),
    size: 1,
    artifactType: "application/x-a",
  });
  let first: () => Response = () => new Response("{", { headers: { "content-type": INDEX } });
  const client = createTestClient({
    [REGISTRY]: async (request) => {
      const url = new URL(request.url);
      if (!url.pathname.includes("/referrers/")) return new Response(null);
      return url.searchParams.has("n") ? Response.json({ schemaVersion: 2, manifests: [entry("b")] }) : first();
    },
  });
  const session = await openSession(client.context, endpoint, { access: "pull" });
  const list = (): Promise<readonly Descriptor[]> => listReferrers(session, digestOf("x"), "application/x-a");
  await assert.rejects(list(), (error) => isFailure(error, "bad-input") && /the list is malformed/.test(error.message));
  first = () => new Response(null, { status: 500 });
  await assert.rejects(list(), (error) => isFailure(error, "network"));
  first = () =>
    Response.json(
      { schemaVersion: 2, manifests: [entry("a")] },
      { headers: { link: '</v2/team/os/referrers/x?n=1>; rel="next"' } },
    );
  assert.deepEqual(
    (await list()).map(({ digest }) => digest),
    [digestOf("a"), digestOf("b")],
  );
});

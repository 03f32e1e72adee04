import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { asArray, asObject, type JsonObject, parseJsonObject } from "../../core/json.ts";
import { createFakeHost } from "../../host/fake.ts";
import type { LogEntry } from "../answering.ts";
import { parseRoute } from "../route.ts";
import { createWebhooks, signature, type Webhook, type Webhooks } from "./webhooks.ts";

const DIGEST = parseDigest(`sha256:${"a".repeat(64)}`);
const HOOK: Webhook = {
  url: "http://receiver.test/hook",
  secret: "s3cret",
  events: ["push", "delete"],
  repositories: ["team/**"],
};
const entry = (method: string, target: string, status = 201): LogEntry => ({
  address: "192.0.2.1",
  user: "anna",
  method,
  target,
  route: parseRoute(target.replace(/\?.*/, "")),
  status,
  digest: method === "PUT" ? DIGEST : undefined,
  tookMs: 1,
});
const push = (tag: string): LogEntry => entry("PUT", `/v2/team/os/manifests/${tag}`);

interface Opened {
  readonly webhooks: Webhooks;
  readonly got: { readonly event: JsonObject; readonly signature: string | null; readonly body: string }[];
  readonly pauses: number[];
  readonly warnings: string[];
  readonly ended: string[];
  /** Ends the time that close() gives to what waits. */
  readonly giveUp: () => void;
}

const LAST_TRY_MS = 15_000;

/** `statuses`: what the receiver answers, one after the other, then 200; 0 is a broken connection, -1 no answer at all. */
function open(statuses: readonly number[] = [], hook: Webhook = HOOK): Opened {
  const left = [...statuses];
  const { promise: timeIsOver, resolve: giveUp } = Promise.withResolvers<void>();
  const opened: Omit<Opened, "webhooks"> = { got: [], pauses: [], warnings: [], ended: [], giveUp };
  const host = createFakeHost({
    network: {
      respond: async (request) => {
        const status = left.shift() ?? 200;
        if (status === 0) throw new Failure("network", "Cannot reach the receiver");
        if (status === -1) await aborted(request.signal);
        const body = await request.text();
        const [event] = asArray(parseJsonObject(body, "body")["events"], "events");
        if (status === 200)
          opened.got.push({
            event: asObject(event, "event"),
            signature: request.headers.get("x-hub-signature-256"),
            body,
          });
        return new Response(null, { status });
      },
    },
  });
  const clock = {
    ...host.clock,
    sleep: async (durationMs: number, signal?: AbortSignal): Promise<void> => {
      if (durationMs === LAST_TRY_MS) return Promise.race([timeIsOver, ...(signal ? [aborted(signal)] : [])]);
      opened.pauses.push(durationMs);
      if (signal?.aborted === true) throw new Failure("aborted", "stopped");
    },
  };
  const options = {
    progress: { warn: (text: string) => void opened.warnings.push(text) },
    ended: (result: string) => void opened.ended.push(result),
  };
  const webhooks = createWebhooks({ ...host, clock }, [hook], options);
  return { ...opened, webhooks };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(new Failure("aborted", "Cannot finish: interrupted"));
    if (signal.aborted) end();
    else signal.addEventListener("abort", end);
  });
}

async function settled({ webhooks }: Opened): Promise<void> {
  while (webhooks.waiting() > 0) await new Promise((resolve) => setImmediate(resolve));
}

test("a push by digest that sets tags is an event for each of them", async () => {
  const opened = open();
  const tagsOf = async (target: string): Promise<unknown[]> => {
    opened.got.length = 0;
    opened.webhooks.observe(entry("PUT", target));
    await settled(opened);
    return opened.got.map(({ event }) => asObject(event["target"], "target"));
  };
  const target = { repository: "team/os", digest: DIGEST };
  const path = `/v2/team/os/manifests/${DIGEST}`;
  assert.deepEqual(await tagsOf(`${path}?tag=prod&tag=latest`), [
    { ...target, tag: "prod" },
    { ...target, tag: "latest" },
  ]);
  assert.deepEqual(await tagsOf("/v2/team/os/manifests/v1?tag=v1&tag=v2"), [
    { ...target, tag: "v1" },
    { ...target, tag: "v2" },
  ]);
  assert.deepEqual(await tagsOf(path), [target]);
});

test("pushes and deletions are told in order, signed, in docker's envelope", async () => {
  const opened = open();
  opened.webhooks.observe(push("v1"));
  opened.webhooks.observe(entry("DELETE", `/v2/team/os/manifests/${DIGEST}`, 202));
  opened.webhooks.observe(entry("DELETE", "/v2/team/os/manifests/v1", 202));
  await settled(opened);
  assert.deepEqual(
    opened.got.map(({ event }) => [event["action"], event["target"], event["actor"]]),
    [
      ["push", { repository: "team/os", digest: DIGEST, tag: "v1" }, { name: "anna" }],
      ["delete", { repository: "team/os", digest: DIGEST }, { name: "anna" }],
      ["delete", { repository: "team/os", tag: "v1" }, { name: "anna" }],
    ],
  );
  for (const { body, signature: sent } of opened.got) assert.equal(sent, signature("s3cret", Buffer.from(body)));
  assert.equal(new Set(opened.got.map(({ event }) => event["id"])).size, 3);
  assert.equal(
    signature("It's a Secret to Everybody", Buffer.from("Hello, World!")),
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    "GitHub's own example",
  );
});

test("what changes no manifest, failed, or is not asked for is not told", async () => {
  const opened = open([], { ...HOOK, events: ["push"], secret: undefined });
  for (const other of [
    entry("GET", "/v2/team/os/manifests/v1", 200),
    entry("PUT", "/v2/team/os/manifests/v1", 403),
    entry("DELETE", "/v2/team/os/manifests/v1", 202),
    entry("DELETE", `/v2/team/os/blobs/${DIGEST}`, 202),
    entry("PUT", "/v2/other/os/manifests/v1"),
    entry("GET", "/v2/", 200),
    push("v1"),
  ])
    opened.webhooks.observe(other);
  await settled(opened);
  assert.equal(opened.got.length, 1);
  assert.equal(opened.got[0]?.signature, null);
});

test("a failed delivery is tried again, later and later, with the same id; order stays", async () => {
  const opened = open([500, 0, 404]);
  opened.webhooks.observe(push("v1"));
  opened.webhooks.observe(push("v2"));
  await settled(opened);
  assert.deepEqual(opened.pauses, [500, 1000, 2000]);
  const tags = opened.got.map(({ event }) => asObject(event["target"], "target")["tag"]);
  assert.deepEqual(tags, ["v1", "v2"]);
  assert.deepEqual(opened.ended, ["delivered", "delivered"]);
});

test("a receiver that never takes an event loses it after the last try, in the log", async () => {
  const opened = open(Array<number>(12).fill(503));
  opened.webhooks.observe(push("v1"));
  opened.webhooks.observe(push("v2"));
  await settled(opened);
  assert.equal(opened.pauses.length, 11);
  assert.ok(Math.max(...opened.pauses) <= 300_000);
  assert.deepEqual(opened.ended, ["dropped", "delivered"]);
  assert.match(opened.warnings[0] ?? "", /receiver\.test did not get: push team\/os: it answered 503/);
});

test("the queue is bounded: what does not fit is dropped at once", async () => {
  const opened = open();
  for (let i = 0; i < 1100; i += 1) opened.webhooks.observe(push(`v${i}`));
  assert.equal(opened.webhooks.waiting(), 1000);
  assert.equal(opened.ended.length, 100);
  await settled(opened);
  assert.equal(opened.got.length, 1000);
});

test("close() tries what waits once more and ends", async () => {
  const opened = open([500, 500, 500]);
  for (const tag of ["v1", "v2", "v3", "v4"]) opened.webhooks.observe(push(tag));
  await opened.webhooks.close();
  assert.equal(opened.webhooks.waiting(), 0);
  assert.deepEqual(opened.ended, ["dropped", "dropped", "dropped", "delivered"]);
});

test("close() gives up when its time is over: a receiver that hangs does not hold up the stop", async () => {
  const opened = open([-1]);
  for (const tag of ["v1", "v2"]) opened.webhooks.observe(push(tag));
  const closed = opened.webhooks.close();
  opened.giveUp();
  await closed;
  assert.equal(opened.webhooks.waiting(), 0);
  assert.deepEqual(opened.ended, ["dropped", "dropped"]);
  assert.match(opened.warnings[1] ?? "", /did not get: push team\/os: the registry stops$/);
});

test("the log has no path or query of a receiver's URL", async () => {
  const opened = open(Array<number>(12).fill(500), { ...HOOK, url: "https://receiver.test:8443/t0ken?key=t0ken" });
  opened.webhooks.observe(push("v1"));
  await settled(opened);
  assert.match(opened.warnings[0] ?? "", /^Webhook https:\/\/receiver\.test:8443 did not get: /);
});

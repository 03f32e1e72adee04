import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, parseDigest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { LogEntry } from "../answering.ts";
import { parseRoute } from "../route.ts";
import { createDeltaJobs, type DeltaJob, type DeltaJobs, type MakeDeltas } from "./delta-jobs.ts";

const digest = (number: number): Digest => parseDigest(`sha256:${number.toString(16).padStart(64, "0")}`);
const CONFIG = { from: 2, keepXz: true, repositories: ["team/**"] };

function put(target: string, number: number, change: Partial<LogEntry> = {}): LogEntry {
  const route = parseRoute(target.replace(/\?.*/, ""));
  const entry = { address: "192.0.2.1", user: "anna", method: "PUT", target, route, status: 201, tookMs: 1 };
  return { ...entry, digest: digest(number), ...change };
}

interface Opened {
  readonly jobs: DeltaJobs;
  readonly begun: DeltaJob[];
  readonly ended: string[];
  readonly warnings: string[];
}

function open(makeDeltas: MakeDeltas): Opened {
  const opened: Omit<Opened, "jobs"> = { begun: [], ended: [], warnings: [] };
  const jobs = createDeltaJobs(CONFIG, {
    makeDeltas: (job, options) => {
      opened.begun.push(job);
      assert.deepEqual([options.count, options.keepXz], [2, true]);
      return makeDeltas(job, options);
    },
    progress: { warn: (text) => void opened.warnings.push(text) },
    ended: (result) => void opened.ended.push(result),
  });
  return { ...opened, jobs };
}

test("each image that a tag is set to gets its deltas, one after the other", async () => {
  const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
  let at = 0;
  const { jobs, begun, ended } = open(() => gates[at++]?.promise ?? Promise.reject(new Error("one too many")));
  jobs.observe(put("/v2/team/os/manifests/1", 1));
  jobs.observe(put("/v2/team/os/manifests/latest", 1));
  jobs.observe(put(`/v2/team/db/manifests/${digest(2)}?tag=7`, 2));
  jobs.observe(put("/v2/team/os/manifests/2", 3));
  assert.equal(jobs.waiting(), 3);
  assert.equal(begun.length, 1);
  for (const gate of gates) {
    gate.resolve();
    await new Promise((go) => setImmediate(go));
  }
  assert.deepEqual(
    begun.map(({ repository, digest: each }) => [repository, each]),
    [
      ["team/os", digest(1)],
      ["team/db", digest(2)],
      ["team/os", digest(3)],
    ],
  );
  assert.deepEqual(ended, ["made", "made", "made"]);
  assert.equal(jobs.waiting(), 0);
});

for (const [what, entry] of [
  ["another repository", put("/v2/other/os/manifests/1", 1)],
  ["a push without a tag", put(`/v2/team/os/manifests/${digest(1)}`, 1)],
  ["a signature", put(`/v2/team/os/manifests/sha256-${"a".repeat(64)}.sig`, 1)],
  ["a refusal", put("/v2/team/os/manifests/1", 1, { status: 400 })],
  ["a deletion", put("/v2/team/os/manifests/1", 1, { method: "DELETE", status: 202 })],
  ["a blob", put(`/v2/team/os/blobs/${digest(1)}`, 1)],
] as const) {
  test(`${what} makes no deltas`, () => {
    const { jobs } = open(() => Promise.reject(new Error("never")));
    jobs.observe(entry);
    assert.equal(jobs.waiting(), 0);
  });
}

test("what fails is told, and the next goes on; what is too much is told at once", async () => {
  const { jobs, ended, warnings } = open(async ({ digest: each }) => {
    if (each === digest(1)) throw new Failure("no-space", "Cannot write: no space");
  });
  for (let number = 1; number <= 1001; number += 1) jobs.observe(put(`/v2/team/os/manifests/t${number}`, number));
  assert.deepEqual(warnings, [`No deltas to team/os@${digest(1001)}: 1000 others wait`]);
  while (jobs.waiting() > 0) await new Promise((go) => setImmediate(go));
  assert.deepEqual(warnings.slice(1), [`No deltas to team/os@${digest(1)}: Cannot write: no space`]);
  assert.equal(ended.filter((result) => result === "made").length, 999);
});

test("close() breaks off what is being made and forgets the rest, without a warning", async () => {
  const { jobs, begun, ended, warnings } = open((_job, { signal }) => {
    const { promise, reject } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => reject(new Failure("aborted", "Cannot finish: interrupted")));
    return promise;
  });
  jobs.observe(put("/v2/team/os/manifests/1", 1));
  jobs.observe(put("/v2/team/os/manifests/2", 2));
  await jobs.close();
  jobs.observe(put("/v2/team/os/manifests/3", 3));
  assert.deepEqual([begun.length, ended, warnings], [1, [], []]);
});

test("a configuration that nobody can serve is refused; without one nothing is made", async () => {
  const options = { makeDeltas: undefined, progress: { warn() {} }, ended() {} };
  assert.throws(() => createDeltaJobs(CONFIG, options), Failure);
  const jobs = createDeltaJobs(undefined, options);
  jobs.observe(put("/v2/team/os/manifests/1", 1));
  assert.equal(jobs.waiting(), 0);
  await jobs.close();
});

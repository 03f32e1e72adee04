import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../../core/digest.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import type { LogEntry } from "../answering.ts";
import { parseRoute } from "../route.ts";
import { auditEntry, openAudit } from "./audit.ts";

const DIGEST = parseDigest(`sha256:${"a".repeat(64)}`);
const entry = (method: string, target: string, status: number, user: string | undefined = "anna"): LogEntry => ({
  address: "192.0.2.1",
  user,
  method,
  target,
  route: parseRoute(target.replace(/\?.*/, "")),
  status,
  digest: status < 300 ? DIGEST : undefined,
  tookMs: 1,
});

for (const [method, target, status, wanted] of [
  ["PUT", "/v2/team/os/manifests/v1", 201, "push done team/os v1"],
  ["DELETE", "/v2/team/os/manifests/v1", 202, "delete done team/os v1"],
  ["GET", "/v2/team/os/manifests/v1", 200, undefined],
  ["GET", "/v2/team/os/manifests/v1", 403, "pull refused team/os v1"],
  ["GET", "/v2/team/os/manifests/v1", 404, undefined],
  ["GET", "/v2/team/os/manifests/v1", 429, "pull refused team/os v1"],
  ["PUT", "/v2/team/os/manifests/v1", 500, "push failed team/os v1"],
  ["PUT", "/v2/team/os/manifests/v1", 400, undefined],
  ["GET", `/v2/team/os/blobs/${DIGEST}`, 200, undefined],
  ["GET", `/v2/team/os/blobs/${DIGEST}`, 403, `read refused team/os ${DIGEST}`],
  ["DELETE", `/v2/team/os/blobs/${DIGEST}`, 202, `delete-blob done team/os ${DIGEST}`],
  ["POST", "/v2/team/os/blobs/uploads/", 202, undefined],
  ["POST", "/v2/team/os/blobs/uploads/?mount=x&from=y", 201, "push-blob done team/os undefined"],
  ["PUT", `/v2/team/os/blobs/uploads/${"0".repeat(32)}?digest=x`, 201, "push-blob done team/os undefined"],
  ["POST", "/v2/team/os/blobs/uploads/", 403, "push-blob refused team/os undefined"],
  ["GET", "/v2/team/os/tags/list", 200, undefined],
  ["GET", "/v2/team/os/tags/list", 403, "read refused team/os undefined"],
  ["GET", "/v2/", 200, undefined],
  ["GET", "/v2/", 401, "read refused undefined undefined"],
  ["GET", "/token?scope=repository:x:pull", 200, "login done undefined undefined"],
  ["POST", "/token", 401, "login refused undefined undefined"],
  ["POST", "/-/sign-in", 303, "login done undefined undefined"],
  ["POST", "/-/sign-in?to=/", 403, "login refused undefined undefined"],
  ["GET", "/-/sign-in", 200, undefined],
  ["GET", "/-/image/team/os:v1", 404, undefined],
  ["GET", "/elsewhere", 401, undefined],
] as const) {
  test(`auditEntry() of ${method} ${target.slice(0, 60)} ${status} is ${wanted}`, () => {
    const got = auditEntry(entry(method, target, status), { pulls: false });
    assert.equal(got && `${got.action} ${got.outcome} ${got.repository} ${got.reference}`, wanted);
  });
}

test("auditEntry() has the tags that a push sets besides its reference, and nothing else of a query", () => {
  const target = `/v2/team/os/manifests/${DIGEST}?tag=prod&secret=x&tag=latest&tag=-no`;
  const pushed = auditEntry(entry("PUT", target, 201), { pulls: false });
  assert.deepEqual([pushed?.reference, pushed?.tags], [DIGEST, ["prod", "latest"]]);
  assert.doesNotMatch(JSON.stringify(pushed), /secret|-no/);
  assert.equal(auditEntry(entry("DELETE", target, 202), { pulls: false })?.tags, undefined);
});

test("auditEntry() of a page that hides what it refused is the refusal", () => {
  const hidden = entry("GET", "/-/image/team/os:v1", 404);
  assert.deepEqual(auditEntry({ ...hidden, refused: { action: "read", repository: "team/os" } }, { pulls: false }), {
    action: "read",
    outcome: "refused",
    status: 404,
    user: "anna",
    address: "192.0.2.1",
    repository: "team/os",
  });
});

test("auditEntry() has pulls when asked for, and no first contact of a client", () => {
  assert.equal(auditEntry(entry("GET", "/v2/team/os/manifests/v1", 200), { pulls: true })?.action, "pull");
  const nobody = { ...entry("GET", "/v2/", 401), user: undefined };
  assert.equal(auditEntry(nobody, { pulls: true }), undefined);
});

test("the audit log is for the owner, grows by whole lines, follows a rotation, and complains when it cannot be written", () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-audit-test-`);
  const path = `${directory.path}/audit.log`;
  const warnings: string[] = [];
  const write = openAudit(host, path, { warn: (text) => void warnings.push(text) });
  const one = auditEntry(entry("PUT", "/v2/team/os/manifests/v1", 201), { pulls: false });
  assert.ok(one);
  write({ ...one, user: 'an"na\n{}' });
  write(one);
  assert.equal(host.files.stat(path)?.mode, 0o600);
  const lines = (file: string): unknown[] =>
    host.files
      .readText(file)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  assert.equal(lines(path).length, 2, "a line break in a name begins no line");
  host.files.rename(path, `${path}.1`);
  write(one);
  assert.equal(lines(path).length, 1);
  assert.equal(lines(`${path}.1`).length, 2);
  assert.equal(warnings.length, 0);

  const nowhere = openAudit(host, `${directory.path}/none/audit.log`, { warn: (text) => void warnings.push(text) });
  nowhere(one);
  assert.match(warnings[0] ?? "", /Cannot .*none\/audit\.log.*the audit log lacks: \{"time"/);
});

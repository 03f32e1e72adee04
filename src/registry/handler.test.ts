import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { RegistryError } from "./errors.ts";
import { htpasswdLine, parseHtpasswd, withoutUser, withUser } from "./htpasswd.ts";
import { htpasswdAuth, openTestRegistry } from "./testing.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";

const basic = (text: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(text).toString("base64")}`,
});

test("GET /v2/ gives 200 and the API's version; other paths 404", async () => {
  using registry = openTestRegistry();
  for (const path of ["/v2/", "/v2"]) {
    const got = await registry.call("GET", path);
    assert.equal(got.status, 200);
    assert.equal(got.headers.get("docker-distribution-api-version"), "registry/2.0");
  }
  for (const path of ["/", "/v1/", "/v2/x", "/v2/team/os/nothing/x", "/v2//blobs/x"]) {
    const { status, headers } = await registry.call("GET", path);
    assert.ok(status === 404 || status === 400, `${path} ${status}`);
    assert.equal(headers.get("docker-distribution-api-version"), null);
  }
});

for (const name of [
  "Team/os",
  "team//os",
  "-team",
  "team/_os",
  "team/os-",
  "a".repeat(256),
  "team/..%2fos",
  "team%zz",
]) {
  test(`repository name ${name.slice(0, 20)} gives 400 NAME_INVALID`, async () => {
    using registry = openTestRegistry();
    const got = await registry.call("GET", `/v2/${name}/tags/list`);
    assert.equal(got.status, 400);
    assert.match(await got.text(), /NAME_INVALID/);
  });
}

test("a malformed tag gives 400, a method that is not there 405 with Allow", async () => {
  using registry = openTestRegistry();
  for (const tag of ["-x", "a".repeat(129), "a%20b"]) {
    assert.equal((await registry.call("GET", `/v2/team/os/manifests/${tag}`)).status, 400, tag);
  }
  for (const path of [`blobs/${digestOf("x")}`, "manifests/v1", "blobs/uploads/", "tags/list"]) {
    const got = await registry.call("OPTIONS", `/v2/team/os/${path}`);
    assert.equal(got.status, 405, path);
    assert.ok(got.headers.get("allow"));
    assert.equal((await registry.call("DELETE", "/v2/")).status, 405);
  }
});

test("a driver that fails gives 500 without its text, and a line in the log; no space gives 507", async () => {
  const failing = (failure: Failure) => new Proxy({} as never, { get: () => () => Promise.reject(failure) });
  using broken = openTestRegistry({ driver: failing(new Failure("io", "Cannot read /secret/path")) });
  const got = await broken.call("GET", "/v2/team/os/tags/list");
  assert.equal(got.status, 500);
  assert.doesNotMatch(await got.text(), /secret/);
  assert.ok(broken.log[0]?.error instanceof Failure);
  using full = openTestRegistry({ driver: failing(new Failure("no-space", "Cannot write")) });
  assert.equal((await full.call("POST", "/v2/team/os/blobs/uploads/")).status, 507);
});

test("a 503 that is meant is a line in the log, without a stack", async () => {
  const down = new RegistryError(503, "UNKNOWN", "the upstream cannot be asked");
  using registry = openTestRegistry({ authenticate: () => Promise.reject(down) });
  assert.equal((await registry.call("GET", "/v2/")).status, 503);
  assert.deepEqual([registry.log[0]?.status, registry.log[0]?.error], [503, undefined]);
});

test("htpasswd lets in the right password only, and follows changes of the file", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-htpasswd-test-`);
  const path = `${directory.path}/htpasswd`;
  host.files.write(path, await htpasswdLine("anna", "secret"));
  using registry = openTestRegistry({ authenticate: htpasswdAuth({ host, path, realm: "berth" }) });
  const status = async (headers: Record<string, string>): Promise<number> =>
    (await registry.call("GET", "/v2/", { headers })).status;

  const refused = await registry.call("GET", "/v2/");
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get("www-authenticate"), 'Basic realm="berth"');
  assert.match(await refused.text(), /UNAUTHORIZED/);
  for (const wrong of ["anna:wrong", "anna:", "bert:secret", "anna"])
    assert.equal(await status(basic(wrong)), 401, wrong);
  assert.equal(await status({ authorization: "Bearer x" }), 401);
  assert.equal(await status(basic("anna:secret")), 200);

  host.files.write(path, await htpasswdLine("anna", "changed!"));
  assert.equal(await status(basic("anna:secret")), 401);
  assert.equal(await status(basic("anna:changed!")), 200);
  host.files.remove(path);
  assert.equal((await registry.call("GET", "/v2/", { headers: basic("anna:changed!") })).status, 500);
});

test("parseHtpasswd() takes what htpasswd -B writes and rejects other hashes by line", () => {
  const line = `anna:$2y$05$${"a".repeat(53)}`;
  assert.deepEqual([...parseHtpasswd(`# users\n\n${line}\n`).keys()], ["anna"]);
  for (const bad of [`anna:$2y$32$${"a".repeat(53)}`, "anna:$apr1$x$y", "anna:plain", "anna", ":$2y$05$x"]) {
    assert.throws(() => parseHtpasswd(`${line}\n${bad}\n`), /line 2/);
  }
});

test("users are changed a line at a time", async () => {
  const text = `# staff\nanna:old\nanna2:x\n`;
  const line = await htpasswdLine("anna", "secret");
  assert.equal(withUser(text, line), `# staff\n${line}anna2:x\n`);
  assert.equal(withUser("anna2:x", line), `anna2:x\n${line}`);
  assert.equal(withUser("", line), line);
  assert.equal(withoutUser(text, "anna"), "# staff\nanna2:x\n");
  assert.equal(withoutUser(text, "bert"), text);
});

for (const [user, password] of [
  ["#a", "x"],
  ["a:b", "x"],
  ["", "x"],
  ["a b", "x"],
  ["a\n", "x"],
  ["anna", ""],
  ["anna", "x".repeat(73)],
] as const) {
  test(`htpasswdLine() rejects user ${JSON.stringify(user)} with a password of ${password.length} bytes`, async () => {
    await assert.rejects(htpasswdLine(user, password), Failure);
  });
}

/** Users, robots, tokens and permissions against the whole handler: what each may see and do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { type JsonObject, parseJsonObject } from "../../core/json.ts";
import { LOOK_MS } from "../../host/file-version.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { answering } from "../answering.ts";
import { parseRegistryConfig } from "../config.ts";
import { withEndpoints } from "../endpoints.ts";
import { openTestRegistry, quickHtpasswdLine, type TestRegistry, toWeb } from "../testing.ts";
import { openAccess } from "./open-access.ts";
import { createKey, formatRobots, type Robot } from "./robots.ts";

const USERS = `${await quickHtpasswdLine("anna", "secret")}${await quickHtpasswdLine("eve", "secret")}`;
const RULES = `
[groups]
ops = ["anna"]
[[permissions]]
repositories = ["**"]
groups = ["ops"]
actions = ["pull", "push", "delete"]
[[permissions]]
repositories = ["team/**"]
users = ["eve"]
actions = ["pull", "push"]
`;
const ANONYMOUS = `${RULES}
[[permissions]]
repositories = ["public/**"]
anonymous = true
actions = ["pull"]
`;
const basic = (user: string, password = "secret"): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

interface Opened extends Disposable {
  readonly registry: TestRegistry;
  /** A file of the registry, as its users do who write it beside the server. */
  write(name: string, text: string): void;
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Response>;
  post(form: Record<string, string>): Promise<Response>;
  token(scopes: readonly string[], headers?: Record<string, string>): Promise<string>;
  addRobot(changes?: Partial<Robot>): string;
}

function open(rules: string, options: { tokens?: boolean; certificate?: string } = {}): Opened {
  const real = createLinuxHost();
  let elapsedMs = 0;
  // No limit ends while a test is slow.
  const host = { ...real, clock: { ...real.clock, elapsed: () => elapsedMs } };
  const directory = host.files.temporaryDirectory(`${SCRATCH}/berth-access-test-`);
  const at = (name: string): string => `${directory.path}/${name}`;
  const write = (name: string, text: string): void => {
    host.files.write(at(name), text);
    elapsedMs += LOOK_MS;
  };
  write("htpasswd", USERS);
  const tokens = options.tokens === false ? "" : '[auth.tokens]\nkey = "token.key"\nlifetime = "60s"\n';
  const config = parseRegistryConfig(
    `listen=":1"\n[storage]\ndriver="files"\ndirectory="d"\n[auth.htpasswd]\nfile="htpasswd"\n[auth.robots]\nfile="robots.json"\n${tokens}${rules}`,
  );
  const access = openAccess(host, config, at);
  const registry = openTestRegistry({ authenticate: access.authenticate });
  const inner = openTestRegistry({ driver: registry.driver });
  const { tokenServer } = access;
  const handler = withEndpoints(tokenServer === undefined ? {} : { "/token": answering({ host }, tokenServer) }, {
    api: registry.handle,
    rest: registry.handle,
  });
  const send = async (request: Request): Promise<Response> => {
    const peer = { address: "192.0.2.1", certificateName: options.certificate };
    return toWeb(await handler(request, peer));
  };
  const get: Opened["get"] = (path, headers = {}, method = "GET") =>
    send(new Request(`http://registry.test${path}`, { headers, method }));
  return {
    registry: inner,
    get,
    post: (form) =>
      send(new Request("http://registry.test/token", { method: "POST", body: new URLSearchParams(form) })),
    async token(scopes, headers = basic("anna")) {
      const query = new URLSearchParams(scopes.map((scope) => ["scope", scope]));
      const got = await get(`/token?service=berth&${query.toString()}`, headers);
      assert.equal(got.status, 200);
      return String((await json(got))["token"]);
    },
    write,
    addRobot(changes = {}) {
      const { id, key, hash } = createKey((sizeBytes) => host.random(sizeBytes));
      const robot = {
        name: "ci",
        id,
        hash,
        created: 0,
        expires: undefined,
        repositories: ["team/*"],
        actions: ["pull"] as const,
      };
      write("robots.json", formatRobots([{ ...robot, ...changes }]));
      return key;
    },
    [Symbol.dispose]: () => {
      inner[Symbol.dispose]();
      registry[Symbol.dispose]();
      directory[Symbol.dispose]();
    },
  };
}

async function json(response: Response): Promise<JsonObject> {
  return parseJsonObject(await response.text(), "answer");
}

test("without credentials /v2/ answers 401 and names the token server", async () => {
  using opened = open(RULES);
  const got = await opened.get("/v2/");
  assert.equal(got.status, 401);
  assert.equal(got.headers.get("www-authenticate"), 'Bearer realm="http://registry.test/token",service="berth"');
  using basicOnly = open(RULES, { tokens: false });
  assert.equal((await basicOnly.get("/v2/")).headers.get("www-authenticate"), 'Basic realm="berth registry"');
  assert.equal((await basicOnly.get("/token")).status, 404);
});

test("a challenge names the scope that is missing; a token with it opens the door, and only that door", async () => {
  using opened = open(RULES);
  await opened.registry.pushImage("team/os", "v1");
  await opened.registry.pushImage("team/x", "v1");
  const asked = await opened.get("/v2/team/os/manifests/v1");
  assert.equal(asked.status, 401);
  assert.match(asked.headers.get("www-authenticate") ?? "", /scope="repository:team\/os:pull"$/);
  assert.match(
    (await opened.get("/v2/team/os/blobs/uploads/", {}, "POST")).headers.get("www-authenticate") ?? "",
    /scope="repository:team\/os:pull,push"/,
  );
  const token = await opened.token(["repository:team/os:pull"]);
  assert.equal((await opened.get("/v2/", bearer(token))).status, 200);
  assert.equal((await opened.get("/v2/team/os/manifests/v1", bearer(token))).status, 200);
  const other = await opened.get("/v2/team/x/manifests/v1", bearer(token));
  assert.equal(other.status, 401);
  assert.match(
    other.headers.get("www-authenticate") ?? "",
    /scope="repository:team\/x:pull",error="insufficient_scope"/,
  );
  assert.equal((await opened.get("/v2/team/os/manifests/v1", bearer(token), "DELETE")).status, 401);
  assert.equal((await opened.get("/v2/_catalog", bearer(token))).status, 401);
  for (const bad of [`${token}x`, "x", ""]) {
    const refused = await opened.get("/v2/team/os/manifests/v1", bearer(bad));
    assert.equal(refused.status, 401, bad);
  }
});

test("several scope parameters, blanks within one, and * make one token", async () => {
  using opened = open(RULES);
  await opened.registry.pushImage("team/os", "v1");
  for (const scopes of [
    ["repository:team/os:pull", "repository:base/os:pull,push"],
    ["repository:team/os:pull repository:base/os:pull,push"],
    ["repository:team/os:*", "repository:base/os:*"],
  ]) {
    const token = await opened.token(scopes);
    const mount = `/v2/base/os/blobs/uploads/?mount=${digestOf("{}")}&from=team/os`;
    assert.equal((await opened.get(mount, bearer(token), "POST")).status, 201, String(scopes));
  }
  const narrow = await opened.token(["repository:base/os:pull,push"]);
  const mount = `/v2/base/os/blobs/uploads/?mount=${digestOf("layer of team/os:v1")}&from=team/os`;
  assert.equal((await opened.get(mount, bearer(narrow), "POST")).status, 202, "a mount needs its source in the token");
});

test("what a user may not read looks the same whether it exists or not", async () => {
  using opened = open(ANONYMOUS);
  await opened.registry.pushImage("secret/os", "v1");
  const digest = digestOf("layer of secret/os:v1");
  const answers = async (name: string, headers: Record<string, string>): Promise<unknown[]> => {
    const found: unknown[] = [];
    for (const [method, rest] of [
      ["GET", "manifests/v1"],
      ["HEAD", "manifests/v1"],
      ["GET", `manifests/${digest}`],
      ["PUT", "manifests/v1"],
      ["DELETE", "manifests/v1"],
      ["GET", `blobs/${digest}`],
      ["DELETE", `blobs/${digest}`],
      ["GET", "tags/list"],
      ["GET", `referrers/${digest}`],
      ["POST", "blobs/uploads/"],
      ["PATCH", `blobs/uploads/${"0".repeat(32)}`],
      ["BREW", "tags/list"],
    ] as const) {
      const got = await opened.get(`/v2/${name}/${rest}`, headers, method);
      const text = (await got.text()).replaceAll(name, "NAME");
      found.push([method, rest, got.status, text, String([...got.headers]).replaceAll(name, "NAME")]);
    }
    return found;
  };
  for (const headers of [
    {},
    basic("", ""),
    basic("eve"),
    bearer(await opened.token(["repository:secret/os:*", "repository:secret/no:*"], basic("eve"))),
  ]) {
    const hidden = await answers("secret/os", headers);
    assert.deepEqual(hidden, await answers("secret/no", headers));
    for (const answer of hidden) assert.match(String(answer), /,(401|403),/);
  }
  for (const query of [`mount=${digest}&from=secret/os`, `mount=${digest}`, `mount=${digest}&from=secret/no`]) {
    assert.equal((await opened.get(`/v2/team/x/blobs/uploads/?${query}`, basic("eve"), "POST")).status, 202, query);
  }
});

test("the catalog shows each caller what it may pull", async () => {
  using opened = open(ANONYMOUS);
  for (const name of ["public/a", "secret/os", "team/os"]) await opened.registry.pushImage(name, "v1");
  const names = async (headers: Record<string, string>): Promise<unknown> =>
    (await json(await opened.get("/v2/_catalog", headers)))["repositories"];
  assert.deepEqual(await names({}), ["public/a"]);
  assert.deepEqual(await names(basic("eve")), ["public/a", "team/os"]);
  assert.deepEqual(await names(basic("anna")), ["public/a", "secret/os", "team/os"]);
  assert.deepEqual((await json(await opened.get("/v2/_catalog?n=1", basic("eve"))))["repositories"], ["public/a"]);
});

test("a token for the catalog lists what its account may pull, and pulls none of it", async () => {
  using opened = open(ANONYMOUS);
  for (const name of ["public/a", "secret/os", "team/os"]) await opened.registry.pushImage(name, "v1");
  using closed = open(RULES);
  const scope = /scope="([^"]+)"/.exec((await closed.get("/v2/_catalog")).headers.get("www-authenticate") ?? "")?.[1];
  assert.equal(scope, "registry:catalog:*");
  for (const [headers, names] of [
    [basic("anna"), ["public/a", "secret/os", "team/os"]],
    [basic("eve"), ["public/a", "team/os"]],
    [{}, ["public/a"]],
  ] as const) {
    const token = await opened.token([scope], headers);
    assert.deepEqual((await json(await opened.get("/v2/_catalog", bearer(token))))["repositories"], names);
    assert.equal((await opened.get("/v2/team/os/manifests/v1", bearer(token))).status, 401);
  }
});

test("anonymous clients read what is public, with a token and without, and write nothing", async () => {
  using opened = open(ANONYMOUS);
  await opened.registry.pushImage("public/a", "v1");
  assert.equal((await opened.get("/v2/")).status, 401, "so that clients learn where to log in");
  assert.equal((await opened.get("/v2/public/a/manifests/v1")).status, 200);
  const token = await opened.token(["repository:public/a:pull,push"], {});
  assert.equal((await opened.get("/v2/", bearer(token))).status, 200);
  assert.equal((await opened.get("/v2/public/a/manifests/v1", bearer(token))).status, 200);
  assert.equal((await opened.get("/v2/public/a/blobs/uploads/", bearer(token), "POST")).status, 401);
  assert.equal((await opened.get("/v2/public/a/manifests/v1", {}, "DELETE")).status, 401);
  using closed = open(RULES);
  assert.equal((await closed.get("/token?scope=repository:public/a:pull")).status, 401);
});

test("docker's login: a refresh token, then tokens by POST; a new password ends both", async () => {
  using opened = open(RULES);
  await opened.registry.pushImage("team/os", "v1");
  const got = await opened.post({
    grant_type: "password",
    username: "anna",
    password: "secret",
    access_type: "offline",
  });
  const refresh_token = String((await json(got))["refresh_token"]);
  const scope = "repository:team/os:pull repository:secret:pull";
  const refreshed = await opened.post({
    grant_type: "refresh_token",
    refresh_token,
    scope,
    service: "x",
    client_id: "docker",
  });
  const answer = await json(refreshed);
  assert.equal(answer["expires_in"], 60);
  assert.equal(answer["refresh_token"], refresh_token);
  const token = String(answer["access_token"]);
  assert.equal((await opened.get("/v2/team/os/manifests/v1", bearer(token))).status, 200);
  assert.equal((await opened.get("/v2/", bearer(refresh_token))).status, 401, "a refresh token opens no repository");
  const misused = await opened.post({ grant_type: "refresh_token", refresh_token: token });
  assert.equal(misused.status, 401, "an access token is no refresh token");

  opened.write("htpasswd", await quickHtpasswdLine("anna", "changed!"));
  assert.equal((await opened.get("/v2/team/os/manifests/v1", bearer(token))).status, 401);
  assert.equal((await opened.post({ grant_type: "refresh_token", refresh_token })).status, 401);
});

for (const [what, form, status] of [
  ["no grant", {}, 400],
  ["an unknown grant", { grant_type: "client_credentials" }, 400],
  ["a wrong password", { grant_type: "password", username: "anna", password: "x" }, 401],
  ["an unknown user", { grant_type: "password", username: "bert", password: "secret" }, 401],
  ["no user", { grant_type: "password" }, 401],
  ["a malformed refresh token", { grant_type: "refresh_token", refresh_token: "x" }, 401],
  ["a malformed key", { grant_type: "refresh_token", refresh_token: "berth_x" }, 401],
  ["a form of 70 KB", { grant_type: "password", username: "x".repeat(70_000) }, 413],
] as const) {
  test(`POST /token with ${what} gives ${status}`, async () => {
    using opened = open(ANONYMOUS);
    assert.equal((await opened.post(form)).status, status);
  });
}

test("a robot logs in with its key, does what it may, and ends at once when revoked or over", async () => {
  using opened = open(RULES);
  await opened.registry.pushImage("team/os", "v1");
  const key = opened.addRobot();
  const path = "/v2/team/os/manifests/v1";
  assert.equal((await opened.get(path, basic("ci", key))).status, 200);
  assert.equal((await opened.get(path, basic("ci", key), "DELETE")).status, 403);
  assert.equal((await opened.get(path, basic("anna", key))).status, 401, "a key is good for its own name");
  const token = await opened.token(["repository:team/os:pull,push"], basic("ci", key));
  assert.equal((await opened.get(path, bearer(token))).status, 200);
  assert.equal((await opened.get("/v2/team/os/blobs/uploads/", bearer(token), "POST")).status, 403);
  const asRefresh = await opened.post({
    grant_type: "refresh_token",
    refresh_token: key,
    scope: "repository:team/os:pull",
  });
  assert.equal(asRefresh.status, 200);

  const ended = opened.addRobot({ expires: 1 });
  assert.equal((await opened.get(path, basic("ci", ended))).status, 401);
  assert.equal((await opened.get(path, basic("ci", key))).status, 401);
  assert.equal((await opened.get(path, bearer(token))).status, 401, "its tokens end with it");
});

test("too many wrong passwords of one address give 429 and Retry-After, before the password is looked at", async () => {
  using opened = open(RULES);
  const statuses: number[] = [];
  for (let i = 0; i < 20; i += 1) statuses.push((await opened.get("/token", basic("anna", "berth_wrong"))).status);
  assert.deepEqual(new Set(statuses), new Set([401]));
  const limited = await opened.get("/token", basic("anna"));
  assert.equal(limited.status, 429);
  assert.ok(Number(limited.headers.get("retry-after")) >= 1);
  assert.match(await limited.text(), /TOOMANYREQUESTS/);
});

test("a client certificate logs in the user of its common name; credentials come first; odd names are nobody", async () => {
  using eve = open(ANONYMOUS, { certificate: "eve" });
  await eve.registry.pushImage("team/os", "v1");
  const path = "/v2/team/os/manifests/v1";
  assert.equal((await eve.get("/v2/")).status, 200);
  assert.equal((await eve.get(path)).status, 200);
  assert.equal((await eve.get(path, {}, "DELETE")).status, 403);
  assert.equal((await eve.get(path, basic("anna"), "DELETE")).status, 202);
  for (const certificate of ["robot:ci", "a b", ""]) {
    using odd = open(ANONYMOUS, { certificate });
    assert.equal((await odd.get("/v2/")).status, 401, certificate);
  }
});

test("limits: each user and each address has its own rate; past it 429 and Retry-After", async () => {
  using opened = open(`${ANONYMOUS}[limits]\nrequests-per-second = 1\nburst = 3\n`);
  const statuses = async (headers: Record<string, string>): Promise<number[]> => {
    const all: number[] = [];
    for (let i = 0; i < 5; i += 1) all.push((await opened.get("/v2/_catalog", headers)).status);
    return all;
  };
  for (const headers of [basic("anna"), basic("eve"), {}])
    assert.deepEqual(await statuses(headers), [200, 200, 200, 429, 429]);
  const limited = await opened.get("/v2/", basic("anna"));
  assert.equal(limited.headers.get("retry-after"), "1");
  assert.match(await limited.text(), /TOOMANYREQUESTS/);
});

test("limits: the token server counts its address, right passwords too", async () => {
  using opened = open(`${ANONYMOUS}[limits]\nrequests-per-second = 1\nburst = 3\n`);
  const ask = [{}, {}, {}, basic("anna"), {}];
  const statuses: number[] = [];
  for (const headers of ask) statuses.push((await opened.get("/token", headers)).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});

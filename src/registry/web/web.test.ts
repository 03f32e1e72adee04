import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { INDEX, MANIFEST } from "../../oci/media-types.ts";
import type { LogEntry } from "../answering.ts";
import type { Authenticate } from "../auth.ts";
import { parseBasic } from "../auth.ts";
import type { Driver } from "../driver.ts";
import { RegistryError } from "../errors.ts";
import { htpasswdAuth, openTestRegistry, quickHtpasswdLine, type TestRegistry, toWeb } from "../testing.ts";
import { attach, pushWebImage } from "./testing.ts";
import { createUpgradeCosts, type Upgrade, type UpgradeCosts } from "./upgrade-cost.ts";
import { createWeb, type WebOptions } from "./web.ts";

/** anna may pull all below team/, others nothing; nobody signed in sees public/. */
const authenticate: Authenticate = async (request) => {
  const header = request.headers.get("authorization");
  const basic = parseBasic(header);
  if (header !== null && basic?.password !== "secret") {
    const user = basic?.user ?? "";
    return { kind: "challenge", challenge: "Basic", message: "invalid user name or password", user };
  }
  const may = (_: string, name: string): boolean =>
    name.startsWith("public/") || (basic?.user === "anna" && name.startsWith("team/"));
  const principal = { user: basic?.user, may, mayList: () => false, mayEnter: () => true, challenge: () => undefined };
  return { kind: "principal", principal };
};

interface Visit {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

interface VisitOptions {
  readonly method?: string;
  readonly user?: string;
  readonly headers?: Record<string, string>;
  readonly form?: Record<string, string>;
}

const noCosts: UpgradeCosts = async () => undefined;

function visitor(registry: TestRegistry, options: Partial<WebOptions> = {}) {
  const web = createWeb(
    { host: registry.host, driver: registry.driver, authenticate, canSignIn: true, costs: noCosts, ...options },
    async () => new Response("the API", { status: 418 }),
  );
  return async (path: string, { method = "GET", user, headers = {}, form }: VisitOptions = {}): Promise<Visit> => {
    const authorization =
      user === undefined ? {} : { authorization: `Basic ${Buffer.from(`${user}:secret`).toString("base64")}` };
    const request = new Request(`http://registry.test${path}`, {
      method: form === undefined ? method : "POST",
      headers: { ...authorization, ...headers },
      ...(form && { body: new URLSearchParams(form).toString() }),
    });
    const response = toWeb(await web(request, { address: "127.0.0.1" }));
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
}

const HOSTILE = `"><script>alert(1)</script><img src=x onerror='alert(1)'>`;

test("the pages show repositories, tags, layers with their instructions, labels and packages", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  await pushWebImage(registry, "team/os", "v1.9", { layers: ["RUN one"], packages: { openssl: "3.0.1" } });
  await pushWebImage(registry, "team/os", "v1.10", {
    layers: ["RUN one", "/bin/sh -c #(nop) COPY file:1 in /etc", "/bin/sh -c apt-get update"],
    labels: { title: "An image" },
    packages: { openssl: "3.0.2", curl: "8" },
  });
  const home = await visit("/", { user: "anna" });
  assert.match(home.text, /href="\/-\/repository\/team\/os">team\/os<\/a>.*<code>v1\.10<\/code>.*>2</s);
  const tags = await visit("/-/repository/team/os", { user: "anna" });
  assert.ok(tags.text.indexOf(">v1.10</code>") < tags.text.indexOf(">v1.9</code>"), "newest first");
  const image = await visit("/-/image/team/os:v1.10", { user: "anna" });
  for (const part of [
    "<b>RUN</b> one",
    "<b>COPY</b> file:1 in /etc",
    "<b>RUN</b> apt-get update",
    "An image",
    "curl",
    "3.0.2",
  ]) {
    assert.ok(image.text.includes(part), part);
  }
  const compared = await visit("/-/compare/team/os?from=v1.9&to=v1.10", { user: "anna" });
  assert.equal(compared.status, 200);
  assert.match(compared.text, /new<\/span> curl/);
  assert.match(compared.text, /changed<\/span> openssl.*3\.0\.1.*3\.0\.2/s);
  assert.match(compared.text, /2 new, 1 shared, 0 gone/);
});

test("hostile names, labels, versions and instructions stay text on every page", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  const spec = {
    layers: [`RUN ${HOSTILE}`],
    labels: { [HOSTILE]: HOSTILE },
    packages: { [HOSTILE]: HOSTILE },
    created: HOSTILE,
  };
  const digest = await pushWebImage(registry, "team/os", "v1", spec);
  await pushWebImage(registry, "team/os", "v2", { layers: [HOSTILE], packages: { a: "1" } });
  await attach(registry, "team/os", digest, `application/${HOSTILE}`, "x", { [HOSTILE]: HOSTILE });
  const to = encodeURIComponent(HOSTILE);
  for (const path of [
    "/",
    `/?q=${to}`,
    "/-/repository/team/os",
    "/-/image/team/os:v1",
    "/-/compare/team/os?from=v1&to=v2",
    `/-/sign-in?to=${to}`,
    `/-/${to}`,
  ]) {
    const { text, headers } = await visit(path, { user: "anna", headers: { host: HOSTILE } });
    assert.doesNotMatch(text, /<script|<img|onerror='/, path);
    assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/);
  }
  assert.match((await visit("/-/image/team/os:v1", { user: "anna" })).text, /&#60;script&#62;alert\(1\)/);
});

test("what a visitor may not read does not exist for them", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  await pushWebImage(registry, "team/os", "v1", { layers: ["RUN one"] });
  await pushWebImage(registry, "public/os", "v1", { layers: ["RUN one"] });
  const paths = (name: string) => [`/-/repository/${name}`, `/-/image/${name}:v1`, `/-/compare/${name}?from=v1&to=v1`];
  for (const [i, path] of paths("team/os").entries()) {
    const absent = paths("team/absent")[i] ?? "";
    const [there, gone] = [await visit(path, { user: "eve" }), await visit(absent, { user: "eve" })];
    assert.deepEqual([there.status, there.text], [404, gone.text], path);
    const anonymous = await visit(path);
    assert.deepEqual(
      [anonymous.status, anonymous.headers.get("location")],
      [303, `/-/sign-in?${new URLSearchParams({ to: path }).toString()}`],
    );
    assert.equal((await visit(path, { user: "anna" })).status, 200, path);
  }
  for (const user of ["eve", undefined]) {
    const { text } = await visit("/", user === undefined ? {} : { user });
    assert.match(text, /public\/os/);
    assert.doesNotMatch(text, /team\/os/);
  }
  const wrong = await visit("/", { headers: { authorization: "Basic bm86bm8=" } });
  assert.match(wrong.text, /public\/os/);
});

test("signing in gives a cookie that signs in, wrong credentials and forms of other sites do not", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  await pushWebImage(registry, "team/os", "v1", { layers: ["RUN one"] });
  assert.equal((await visit("/")).headers.get("location"), "/-/sign-in");
  const form = { user: "anna", password: "secret", to: "/-/repository/team/os" };
  const signed = await visit("/-/sign-in", { form });
  assert.deepEqual([signed.status, signed.headers.get("location")], [303, "/-/repository/team/os"]);
  const cookie = signed.headers.get("set-cookie")?.split(";")[0] ?? "";
  assert.match((await visit("/", { headers: { cookie } })).text, /team\/os.*/s);
  assert.match(
    (await visit("/-/sign-out", { form: {}, headers: { cookie } })).headers.get("set-cookie") ?? "",
    /Max-Age=0/,
  );
  for (const to of ["//evil.test", "https://evil.test", "/\\evil.test", "/v2/", "/-/nothing", "javascript:alert(1)"]) {
    assert.equal((await visit("/-/sign-in", { form: { ...form, to } })).headers.get("location"), "/", to);
  }
  for (const bad of [{ ...form, password: "no" }, {}, { ...form, user: "x".repeat(10_000) }]) {
    const refused = await visit("/-/sign-in", { form: bad });
    assert.deepEqual([refused.status, refused.headers.get("set-cookie")], [403, null]);
  }
  const foreign = await visit("/-/sign-in", { form, headers: { origin: "http://evil.test" } });
  assert.deepEqual([foreign.status, foreign.headers.get("set-cookie")], [403, null]);
});

test("after signing in the browser goes to an address that is encoded and ours", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  for (const [to, location] of [
    ["/-/repository/x?q=漢", "/-/repository/x?q=%E6%BC%A2"],
    ["/-/repository/x?q=a\r\nset-cookie: b", "/-/repository/x?q=aset-cookie:%20b"],
    ["/-/repository/x\r\nset-cookie: b", "/"],
    ["/?q=x", "/?q=x"],
    ["/-/..//evil.test", "/"],
    ["http://[", "/"],
    ["http://registry.test:99/-/repository/x", "/"],
  ] as const) {
    const { status, headers } = await visit("/-/sign-in", { form: { user: "anna", password: "secret", to } });
    assert.deepEqual([status, headers.get("location")], [303, location], to);
  }
});

test("the cookie of an old password is nobody's: it is taken back, and counts as no failed login", async () => {
  using registry = openTestRegistry();
  const { host, root } = registry;
  const path = `${root}/htpasswd`;
  host.files.write(path, await quickHtpasswdLine("anna", "secret"));
  const visit = visitor(registry, { authenticate: htpasswdAuth({ host, path, realm: "" }) });
  const signIn = (password: string): Promise<Visit> => visit("/-/sign-in", { form: { user: "anna", password } });
  const cookie = (await signIn("secret")).headers.get("set-cookie")?.split(";")[0] ?? "";
  assert.equal((await visit("/", { headers: { cookie } })).headers.get("set-cookie"), null);
  host.files.write(path, await quickHtpasswdLine("anna", "changed"));
  for (let i = 0; i < 24; i += 1) {
    const { status, headers } = await visit("/", { headers: { cookie } });
    assert.deepEqual([status, headers.get("location")], [303, "/-/sign-in"]);
    assert.match(headers.get("set-cookie") ?? "", /^berth-session=; .*Max-Age=0/);
  }
  assert.equal((await signIn("changed")).status, 303);
});

test("the log has who signed in or tried to, and what a page did not show", async () => {
  using registry = openTestRegistry();
  const entries: LogEntry[] = [];
  const visit = visitor(registry, { log: (entry) => void entries.push(entry) });
  const wrong = { authorization: `Basic ${Buffer.from("anna:no").toString("base64")}` };
  const form = { user: "anna", password: "secret" };
  for (const [path, options, wanted] of [
    ["/-/sign-in", { form }, { user: "anna", status: 303, refused: undefined }],
    ["/-/sign-in", { form: { ...form, password: "no" } }, { user: "anna", status: 403, refused: undefined }],
    ["/", { headers: wrong }, { user: "anna", status: 303, refused: { action: "login" } }],
    ["/", { user: "anna" }, { user: "anna", status: 200, refused: undefined }],
    ["/-/image/a/b:v1", { user: "eve" }, { user: "eve", status: 404, refused: { action: "read", repository: "a/b" } }],
    ["/-/repository/a", {}, { user: undefined, status: 303, refused: { action: "read", repository: "a" } }],
    ["/-/compare/team/no", { user: "anna" }, { user: "anna", status: 404, refused: undefined }],
  ] as const) {
    await visit(path, options);
    const { user, status, refused } = entries.at(-1) ?? {};
    assert.deepEqual({ user, status, refused }, wanted, path);
  }
});

test("what is not the page's goes to the API, and the page answers its own errors as pages", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  for (const path of ["/v2/", "/v2/_catalog", "/token", "/-x", "/x/-/y"])
    assert.equal((await visit(path)).status, 418, path);
  assert.equal((await visit("/", { headers: { accept: "application/json" } })).status, 418);
  const user = "anna";
  for (const path of [
    "/-/",
    "/-/nothing",
    "/-/image/team/os",
    "/-/image/team/os@v1",
    "/-/image/team/os:sha256:0",
    "/-/repository/UPPER",
    "/-/repository/team/os:v1",
    "/-/image/%ff",
    "/-/compare/team/os?from=v1",
  ]) {
    const answer = await visit(path, { user });
    assert.deepEqual([answer.status, answer.headers.get("content-type")], [404, "text/html; charset=utf-8"], path);
    assert.match(answer.text, /There is nothing here/);
  }
  assert.deepEqual([(await visit("/", { method: "DELETE", user })).status], [405]);
  const head = await visit("/", { method: "HEAD", user });
  assert.deepEqual([head.status, head.text], [200, ""]);
  assert.match((await visit("/", { user })).text, /There is no repository here that you may read/);
  assert.match((await visit("/-/style.css")).headers.get("content-type") ?? "", /text\/css/);
});

test("an error of the storage is a page that says nothing and a line in the log that says all", async () => {
  using registry = openTestRegistry();
  const errors: unknown[] = [];
  const driver = { ...registry.driver, listRecords: async () => assert.fail("disk on fire") };
  const visit = visitor(registry, { driver, log: (entry) => errors.push(entry.error) });
  const { status, text } = await visit("/", { user: "anna" });
  assert.equal(status, 500);
  assert.doesNotMatch(text, /fire/);
  assert.match(String(errors[0]), /disk on fire/);
});

test("too many wrong passwords are a page with Retry-After", async () => {
  using registry = openTestRegistry();
  const limited = new RegistryError(429, "TOOMANYREQUESTS", "slow down", { headers: { "retry-after": "3" } });
  const visit = visitor(registry, { authenticate: () => Promise.reject(limited) });
  const { status, text, headers } = await visit("/");
  assert.deepEqual([status, headers.get("retry-after")], [429, "3"]);
  assert.match(text, /Too many attempts/);
  for (const path of ["/-/style.css", "/-/icon.svg", "/-/sign-in"]) assert.equal((await visit(path)).status, 200, path);
});

test("the page says what the client's plan of an upgrade moves, and asks for it once until something new is attached", async () => {
  using registry = openTestRegistry();
  const asked: Upgrade[] = [];
  const costs = createUpgradeCosts(registry.handle, async (_, upgrade) => {
    asked.push(upgrade);
    return { bytes: 1234, ways: "1 layer by <ranges>" };
  });
  const visit = visitor(registry, { costs });
  const from = await pushWebImage(registry, "team/os", "v1", { layers: ["RUN old"] });
  const to = await pushWebImage(registry, "team/os", "v2", { layers: ["RUN new"] });
  const compare = (tags: string) => visit(`/-/compare/team/os?${tags}`, { user: "anna" });
  const { text } = await compare("from=v1&to=v2");
  assert.match(text, /class="figure"><span title="1,234 bytes"/);
  assert.match(text, /1 layer by &#60;ranges&#62;/);
  await compare("from=v1&to=v2");
  assert.deepEqual(asked, [{ repository: "team/os", from, to }]);
  await attach(registry, "team/os", to, "application/vnd.berth.delta.v3", "a delta");
  await compare("from=v1&to=v2");
  assert.equal(asked.length, 2);
  assert.match((await compare("from=v1&to=v1")).text, /there is nothing to move/);
  const size = (await registry.driver.blobSize(to)) ?? 0;
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ mediaType: MANIFEST, digest: to, size }],
  });
  await registry.call("PUT", "/v2/team/os/manifests/all", { body: index, headers: { "content-type": INDEX } });
  assert.match((await compare("from=v1&to=all")).text, /compare those of one/);
  assert.equal(asked.length, 2);
});

test("a plan that fails for what is not there is no error of the page; a fault of ours is", async () => {
  using registry = openTestRegistry();
  await pushWebImage(registry, "team/os", "v1", { layers: ["RUN old"] });
  await pushWebImage(registry, "team/os", "v2", { layers: ["RUN new"] });
  for (const [error, status] of [
    [new Failure("not-found", "Cannot fetch: gone"), 200],
    [new SyntaxError("Cannot parse"), 200],
    [new TypeError("ours"), 500],
  ] as const) {
    const visit = visitor(registry, { costs: createUpgradeCosts(registry.handle, () => Promise.reject(error)) });
    const shown = await visit("/-/compare/team/os?from=v1&to=v2", { user: "anna" });
    assert.equal(shown.status, status);
    if (status === 200) assert.match(shown.text, /what an upgrade moves cannot be told/);
  }
});

test("an SBOM that the repository does not hold, or that is malformed, is not shown", async () => {
  using registry = openTestRegistry();
  const visit = visitor(registry);
  const digest = await pushWebImage(registry, "team/os", "v1", { layers: ["RUN one"] });
  const secret = JSON.stringify({ spdxVersion: "SPDX-2.3", packages: [{ name: "secret-package" }] });
  const elsewhere = await registry.pushBlob("other/os", secret);
  const config = {
    mediaType: "application/vnd.oci.empty.v1+json",
    digest: await registry.pushBlob("team/os", "{}"),
    size: 2,
  };
  const layers = [
    { mediaType: "application/spdx+json", digest: elsewhere, size: secret.length, urls: ["http://x.test"] },
  ];
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const subject = { mediaType, digest, size: 1 };
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    artifactType: "application/spdx+json",
    config,
    layers,
    subject,
  });
  const put = await registry.call("PUT", "/v2/team/os/manifests/leak", {
    body,
    headers: { "content-type": mediaType },
  });
  assert.equal(put.status, 201);
  await attach(registry, "team/os", digest, "application/spdx+json", "{}");
  const { text, status } = await visit("/-/image/team/os:v1", { user: "anna" });
  assert.equal(status, 200);
  assert.doesNotMatch(text, /secret-package/);
  assert.match(text, /No list of packages/);
});

test("an SBOM that cannot be read is read once, and its image's page still shows the rest", async () => {
  using registry = openTestRegistry();
  const reads = new Map<Digest, number>();
  const { driver } = registry;
  const counting: Driver = {
    ...driver,
    readBlob(digest, range) {
      reads.set(digest, (reads.get(digest) ?? 0) + 1);
      return driver.readBlob(digest, range);
    },
  };
  const visit = visitor(registry, { driver: counting });
  const image = await pushWebImage(registry, "team/os", "v1", { layers: ["RUN one"] });
  const sboms = [
    `{"spdxVersion":"SPDX-2.3","packages":[${"{},".repeat(1_000_000)}{}]}`,
    JSON.stringify({ spdxVersion: "SPDX-2.3", packages: [{ name: "big" }], comment: "x".repeat(9 * 1024 * 1024) }),
    ...Array.from({ length: 6 }, (_, i) => `{"malformed": ${i}}`),
  ];
  for (const sbom of sboms) await attach(registry, "team/os", image, "application/spdx+json", sbom);
  for (let i = 0; i < 3; i += 1) {
    const { status, text } = await visit("/-/image/team/os:v1", { user: "anna" });
    assert.equal(status, 200);
    assert.match(text, /<b>RUN<\/b> one/);
    assert.match(text, /No list of packages/);
  }
  const counts = sboms.map((sbom) => reads.get(digestOf(sbom)) ?? 0);
  assert.equal(counts[1], 0, "one that is too large is not read at all");
  assert.ok(Math.max(...counts) <= 1 && counts.filter((count) => count > 0).length <= 3, `each once: ${counts.join()}`);
});

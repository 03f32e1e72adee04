import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost, type FakeHostOptions } from "../host/fake.ts";
import { normalizeKey, parseAuthFile, withEntry } from "./auth-file.ts";
import { authFiles, describeSearch, findCredentials } from "./credentials.ts";

const entry = (text: string): { auth: string } => ({ auth: Buffer.from(text).toString("base64") });
const auths = (entries: Record<string, object>): string => JSON.stringify({ auths: entries });
const env = { HOME: "/home/anna" };
const user = { uid: 1000, gid: 1000 };

async function found(options: FakeHostOptions, repository: string, authFile?: string): Promise<string> {
  const search = await findCredentials(createFakeHost({ env, user, ...options }), repository, { authFile });
  const { credentials } = search;
  if (credentials === undefined) return `none: ${describeSearch(search)}`;
  return credentials.kind === "password"
    ? `${credentials.username}:${credentials.password}`
    : `token ${credentials.token}`;
}

test("the files come in the containers, docker, ostree order", () => {
  const paths = (options: FakeHostOptions): string[] =>
    authFiles(createFakeHost({ user, ...options })).map(({ path }) => path);
  assert.deepEqual(paths({ env: { HOME: "/home/anna", XDG_RUNTIME_DIR: "/run/user/1000" } }), [
    "/run/user/1000/containers/auth.json",
    "/run/containers/1000/auth.json",
    "/home/anna/.config/containers/auth.json",
    "/home/anna/.docker/config.json",
    "/home/anna/.dockercfg",
    "/etc/ostree/auth.json",
    "/run/ostree/auth.json",
    "/usr/lib/ostree/auth.json",
  ]);
  assert.deepEqual(paths({ env: { REGISTRY_AUTH_FILE: "/x" } }), ["/x"]);
  assert.deepEqual(
    paths({ env: { XDG_CONFIG_HOME: "/c", DOCKER_CONFIG: "/d" }, user: { uid: 0, gid: 0 } }).slice(0, 3),
    ["/run/containers/0/auth.json", "/c/containers/auth.json", "/d/config.json"],
  );
});

for (const [name, files, repository, wanted] of [
  [
    "the longest key wins",
    { "r.io": entry("host:1"), "r.io/a": entry("a:1"), "r.io/a/b": entry("b:1") },
    "r.io/a/b/c",
    "b:1",
  ],
  [
    "a key of another repository does not count",
    { "r.io": entry("host:1"), "r.io/ab": entry("ab:1") },
    "r.io/a/b",
    "host:1",
  ],
  ["a port is part of the host", { "r.io": entry("host:1"), "r.io:5000": entry("port:1") }, "r.io:5000/a", "port:1"],
  [
    "docker's address of its registry is docker.io",
    { "https://index.docker.io/v1/": entry("hub:1") },
    "docker.io/library/x",
    "hub:1",
  ],
  ["keys written as URLs count as their host", { "https://r.io/v2/": entry("url:1") }, "r.io/a", "url:1"],
  ["a password may have colons", { "r.io": entry("anna:a:b:c") }, "r.io/a", "anna:a:b:c"],
  ["an identity token is used as it is", { "r.io": { ...entry("x:y"), identitytoken: "t" } }, "r.io/a", "token t"],
  ["user and password may stand by themselves", { "r.io": { username: "u", password: "p" } }, "r.io/a", "u:p"],
] as const) {
  test(name, async () =>
    assert.equal(await found({ files: { "/etc/ostree/auth.json": auths(files) } }, repository), wanted),
  );
}

test("an earlier file wins over a longer key in a later one", async () => {
  const files = {
    "/home/anna/.config/containers/auth.json": auths({ "r.io": entry("early:1") }),
    "/etc/ostree/auth.json": auths({ "r.io/a/b": entry("late:1") }),
  };
  assert.equal(await found({ files }, "r.io/a/b"), "early:1");
});

test("--authfile is the only file looked at", async () => {
  const files = { "/etc/ostree/auth.json": auths({ "r.io": entry("x:1") }), "/mine": "" };
  assert.equal(await found({ files }, "r.io/a", "/mine"), "none: looked in /mine (no entry)");
  assert.equal(await found({ files }, "r.io/a", "/other"), "none: looked in /other (absent)");
});

test("the search says each place and what was there", async () => {
  const files = {
    "/home/anna/.docker/config.json": auths({ "q.io": entry("x:1") }),
    "/home/anna/.dockercfg": JSON.stringify({ "q.io": entry("x:1") }),
  };
  assert.equal(
    await found({ files }, "r.io/a"),
    "none: looked in /run/containers/1000/auth.json (absent), /home/anna/.config/containers/auth.json (absent), " +
      "/home/anna/.docker/config.json (no entry), /home/anna/.dockercfg (no entry), /etc/ostree/auth.json (absent), " +
      "/run/ostree/auth.json (absent), /usr/lib/ostree/auth.json (absent)",
  );
  assert.equal(await found({ files }, "q.io/a"), "x:1");
});

for (const text of [
  "{",
  "[]",
  auths({ "r.io": { auth: "bm9jb2xvbg==" } }),
  auths({ "r.io": { auth: 5 } }),
  JSON.stringify({ auths: [] }),
]) {
  test(`a malformed file ${text.slice(0, 30)} is an error that names it`, async () => {
    const host = createFakeHost({ env, user, files: { "/etc/ostree/auth.json": text } });
    await assert.rejects(
      findCredentials(host, "r.io/a"),
      (error) => isFailure(error, "bad-input") && error.message.includes("/etc/ostree/auth.json"),
    );
  });
}

test("a credential helper is asked with the host; no entry and a failure are told apart", async () => {
  const credHelpers = { "r.io": "good", "n.io": "none", "b.io": "bad", "w.io": "../x", "m.io": "absent" };
  const config = JSON.stringify({ credHelpers: { ...credHelpers, "https://index.docker.io/v1/": "good" } });
  const options: FakeHostOptions = {
    files: { "/home/anna/.docker/config.json": config },
    programs: {
      "docker-credential-good": async ({ stdin }) => ({
        stdout: JSON.stringify({ ServerURL: String(stdin), Username: "h", Secret: `for ${String(stdin)}` }),
      }),
      "docker-credential-none": async () => ({ exitCode: 1, stdout: "credentials not found in native keychain" }),
      "docker-credential-bad": async () => ({ exitCode: 1, stderr: "locked" }),
    },
  };
  assert.equal(await found(options, "r.io/team/os"), "h:for r.io");
  assert.equal(await found(options, "docker.io/library/debian"), "h:for https://index.docker.io/v1/");
  await assert.rejects(
    found(options, "m.io/a"),
    (error) => isFailure(error, "missing-tool") && error.hint === '/home/anna/.docker/config.json names it for "m.io"',
  );
  assert.match(await found(options, "n.io/a"), /docker-credential-none \(no entry\)/);
  await assert.rejects(found(options, "b.io/a"), /locked/);
  await assert.rejects(found(options, "w.io/a"), /it is no program's name/);
});

test("registries.conf may put helpers before the files, or leave the files out", async () => {
  const options: FakeHostOptions = {
    env,
    user,
    files: { "/etc/ostree/auth.json": auths({ "r.io": entry("file:1"), "q.io": entry("file:2") }) },
    programs: {
      "docker-credential-some": async ({ stdin }) =>
        String(stdin) === "r.io"
          ? { stdout: JSON.stringify({ Username: "<token>", Secret: "t" }) }
          : { exitCode: 1, stdout: "credentials not found in native keychain" },
    },
  };
  const find = async (repository: string, helpers: readonly string[]): Promise<unknown> =>
    (await findCredentials(createFakeHost(options), repository, { helpers })).credentials;
  assert.deepEqual(await find("r.io/a", ["some", "containers-auth.json"]), { kind: "identity-token", token: "t" });
  assert.deepEqual(await find("q.io/a", ["some", "containers-auth.json"]), {
    kind: "password",
    username: "file",
    password: "2",
  });
  assert.equal(await find("q.io/a", ["some"]), undefined);
});

test("docker's helper for every registry is asked when the file has no entry", async () => {
  const options: FakeHostOptions = {
    files: {
      "/home/anna/.docker/config.json": JSON.stringify({
        auths: { "r.io": {}, "q.io": entry("own:1") },
        credsStore: "store",
      }),
    },
    programs: { "docker-credential-store": async () => ({ stdout: JSON.stringify({ Username: "s", Secret: "p" }) }) },
  };
  assert.equal(await found(options, "r.io/a"), "s:p");
  assert.equal(await found(options, "q.io/a"), "own:1");
});

test("withEntry() changes one entry and keeps the rest", () => {
  const text = JSON.stringify({
    credHelpers: { x: "y" },
    auths: { "https://r.io/v1/": entry("old:1"), "q.io": entry("q:1") },
  });
  const changed = withEntry(text, "r.io", { kind: "password", username: "new", password: "2" });
  const file = parseAuthFile(changed, "auths");
  assert.deepEqual(file.entries.get("r.io"), { kind: "password", username: "new", password: "2" });
  assert.deepEqual([...file.entries.keys()].sort(), ["q.io", "r.io"]);
  assert.deepEqual(file.helpers, { x: "y" });
  assert.deepEqual([...parseAuthFile(withEntry(changed, "r.io", undefined), "auths").entries.keys()], ["q.io"]);
});

test("normalizeKey() makes one key of docker.io's names", () => {
  for (const key of ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"])
    assert.equal(normalizeKey(key), "docker.io");
  assert.equal(normalizeKey("r.io:5000/a/"), "r.io:5000/a");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { digestHex, digestOf } from "../../core/digest.ts";
import { parseJsonObject } from "../../core/json.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { parseHtpasswd } from "../../registry/htpasswd.ts";
import { initRegistry } from "../../registry/init.ts";
import { commands } from "../commands.ts";
import { type Printed, runWords } from "../testing.ts";

const CONFIG = `
listen = ":5000"
[storage]
driver = "files"
directory = "data"
[auth.htpasswd]
file = "htpasswd"
[auth.robots]
file = "robots.json"
[groups]
ops = ["bert"]
`;

const R = "/srv/r";

function registryHost({ config = CONFIG, user = { uid: 0, gid: 0 } } = {}): FakeHost {
  const host = createFakeHost({ user });
  host.files.makeDirectory("/srv/r");
  host.files.write("/srv/r/registry.toml", config);
  return host;
}

function berth(host: FakeHost, words: readonly string[], stdin = ""): Promise<Printed> {
  const [first = "", again = stdin] = stdin.split(" ");
  const ask = (question: string): string => (question === "Again: " ? again : first);
  return runWords(host, commands, ["registry", ...words], { stdin, ask, stdinIsTerminal: true });
}

test("user add, list, passwd and remove change one line of the file", async () => {
  const host = registryHost();
  const hashes = (): ReadonlyMap<string, string> => parseHtpasswd(host.files.readText("/srv/r/htpasswd"));
  const added = await berth(host, ["user", "add", "/srv/r", "bert", "--password-stdin"], "secret\n");
  assert.deepEqual(added, { status: 0, out: "Added user bert\n", err: "" });
  assert.equal(host.files.stat("/srv/r/htpasswd")?.mode, 0o600);
  assert.equal((await berth(host, ["user", "add", "/srv/r", "anna"], "secret")).status, 0);
  assert.equal((await berth(host, ["user", "list", "/srv/r"])).out, "USER  GROUPS\nbert  ops\nanna\n");
  assert.deepEqual(JSON.parse((await berth(host, ["user", "list", "/srv/r", "--json"])).out), [
    { name: "bert", groups: ["ops"] },
    { name: "anna", groups: [] },
  ]);
  const before = hashes();
  assert.equal((await berth(host, ["user", "passwd", "/srv/r", "bert", "--password-stdin"], "other")).status, 0);
  assert.notEqual(hashes().get("bert"), before.get("bert"));
  assert.equal(hashes().get("anna"), before.get("anna"));
  assert.equal((await berth(host, ["user", "remove", "/srv/r", "bert"])).status, 0);
  assert.deepEqual([...hashes().keys()], ["anna"]);
});

test("root's changes in a folder of the server's user belong to that user, files that are new and that were there", async () => {
  const host = registryHost();
  const server = { uid: 990, gid: 991 };
  const damaged = `${R}/data/blobs/sha256/${digestHex(digestOf("good")).slice(0, 2)}/${digestHex(digestOf("good"))}`;
  host.files.makeDirectory(damaged.slice(0, damaged.lastIndexOf("/")));
  host.files.write(damaged, "bad!");
  for (const path of everythingBelow(host, R)) host.files.chown(path, server.uid, server.gid);
  for (const words of [
    ["user", "add", R, "bert", "--password-stdin"],
    ["user", "add", R, "anna", "--password-stdin"],
    ["user", "passwd", R, "bert", "--password-stdin"],
    ["user", "remove", R, "anna"],
    ["token", "create", R, "ci", "-r", "a"],
    ["token", "create", R, "mirror", "-r", "a"],
    ["token", "revoke", R, "ci"],
    ["check", "--repair", R],
    ["gc", R],
  ]) {
    const got = await berth(host, words, "secret");
    assert.equal(got.status, 0, got.err);
    for (const path of everythingBelow(host, R)) {
      const { uid, gid } = host.files.stat(path) ?? {};
      assert.deepEqual({ uid, gid }, server, `${path} after ${words.join(" ")}`);
    }
  }
  host.files.makeDirectory("/srv/new");
  host.files.chown("/srv/new", server.uid, server.gid);
  await initRegistry(host, "/srv/new", { user: "anna", password: "secret", hostnames: [], tls: false });
  for (const path of everythingBelow(host, "/srv/new")) assert.equal(host.files.stat(path)?.uid, server.uid, path);
  for (const made of ["htpasswd", "robots.json", "data/quarantine", "data/records"])
    assert.ok(host.files.exists(`${R}/${made}`), made);
});

function everythingBelow(host: FakeHost, path: string): string[] {
  const isDirectory = host.files.stat(path)?.kind === "directory";
  const names = isDirectory ? host.files.list(path) : [];
  return [path, ...names.flatMap((name) => everythingBelow(host, `${path}/${name}`))];
}

test("who is not root changes no owner", async () => {
  const host = registryHost({ user: { uid: 1000, gid: 1000 } });
  host.files.chown(R, 990, 991);
  assert.equal((await berth(host, ["user", "add", R, "bert", "--password-stdin"], "secret")).status, 0);
  assert.equal(host.files.stat(`${R}/htpasswd`)?.uid, 0, "as the fake host makes files");
});

test("token create prints the key once; list shows what it may; revoke ends it", async () => {
  const host = registryHost();
  const made = await berth(host, [
    "token",
    "create",
    "/srv/r",
    "ci",
    "-r",
    "team/**",
    "--allow",
    "push",
    "--allow",
    "pull",
  ]);
  assert.equal(made.status, 0, made.err);
  assert.match(made.out, /^berth_[0-9a-f]{16}_[\w-]{43}\n$/);
  assert.equal(host.files.readText("/srv/r/robots.json").includes(made.out.trim()), false);
  const forever = await berth(host, [
    "token",
    "create",
    "/srv/r",
    "mirror",
    "-r",
    "**",
    "--expires",
    "never",
    "--json",
  ]);
  const value = parseJsonObject(forever.out, "token");
  assert.match(String(value["key"]), /^berth_/);
  const list = await berth(host, ["token", "list", "/srv/r"]);
  assert.match(
    list.out,
    /^TOKEN +REPOSITORIES +ACTIONS +EXPIRES\nci +team\/\*\* +push,pull +\d{4}-\S+Z\nmirror +\*\* +pull +never\n$/,
  );
  assert.doesNotMatch((await berth(host, ["token", "list", "/srv/r", "--json"])).out, /"hash"|"key"/);
  assert.equal((await berth(host, ["token", "revoke", "/srv/r", "ci"])).status, 0);
  assert.doesNotMatch((await berth(host, ["token", "list", "/srv/r"])).out, /ci/);
});

for (const [what, words, input, status, message] of [
  ["a folder without a registry", ["user", "list", "/srv/none"], "", 1, /Cannot use registry "\/srv\/none"/],
  ["an empty password", ["user", "add", R, "bert", "--password-stdin"], "", 1, /the password is empty/],
  ["two different passwords", ["user", "add", R, "bert"], "one two", 2, /the two are not the same/],
  ["a name with a colon", ["user", "add", R, "a:b", "--password-stdin"], "x", 2, /a name has no colon/],
  [
    "a user that is there",
    ["user", "add", R, "anna", "--password-stdin"],
    "x",
    1,
    /there is one already[\s\S]*user passwd/,
  ],
  ["an unknown user", ["user", "remove", R, "bert"], "", 1, /Cannot remove user "bert": there is none/],
  ["an unknown user's password", ["user", "passwd", R, "bert", "--password-stdin"], "x", 1, /there is none/],
  ["a token without repositories", ["token", "create", R, "x"], "", 2, /Cannot use --repository/],
  ["a token with a bad glob", ["token", "create", R, "x", "-r", "Team"], "", 2, /Cannot use --repository/],
  ["a token with a bad action", ["token", "create", R, "x", "-r", "a", "--allow", "fly"], "", 2, /"fly" is no action/],
  [
    "a token with a bad time",
    ["token", "create", R, "x", "-r", "a", "--expires", "soon"],
    "",
    2,
    /"soon" is no duration/,
  ],
  ["a token with a bad name", ["token", "create", R, "A B", "-r", "a"], "", 1, /Cannot create a token named "A B"/],
  ["a token that is there", ["token", "create", R, "ci", "-r", "a"], "", 1, /Cannot create token "ci": there is one/],
  ["an unknown token", ["token", "revoke", R, "x"], "", 1, /Cannot revoke token "x": there is none/],
] as const) {
  test(`${what} is one clear error and changes nothing`, async () => {
    const host = registryHost();
    await berth(host, ["user", "add", R, "anna", "--password-stdin"], "secret");
    await berth(host, ["token", "create", R, "ci", "-r", "a"]);
    const files = (): string => host.files.readText(`${R}/htpasswd`) + host.files.readText(`${R}/robots.json`);
    const before = files();
    const got = await berth(host, words, input);
    assert.equal(got.status, status, got.err);
    assert.match(got.err, message);
    assert.equal(files(), before);
  });
}

test("a registry without the section, and a malformed file, are clear errors", async () => {
  const bare = registryHost({ config: CONFIG.slice(0, CONFIG.indexOf("[auth")) });
  assert.match((await berth(bare, ["user", "list", R])).err, /has no \[auth\.htpasswd\]/);
  assert.match((await berth(bare, ["token", "list", R])).err, /has no \[auth\.robots\]/);
  const broken = registryHost();
  broken.files.write(`${R}/htpasswd`, "anna:plain\n");
  assert.match(
    (await berth(broken, ["user", "add", R, "bert", "--password-stdin"], "x")).err,
    /htpasswd" *: it is malformed[\s\S]*line 1/,
  );
});

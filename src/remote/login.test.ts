import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { htpasswdAuth, openTestRegistry, quickHtpasswdLine, type TestRegistry } from "../registry/testing.ts";
import type { RemoteContext } from "./context.ts";
import { currentLogin, logIn, logOut, logOutOfAll, parseRegistryName } from "./login.ts";
import { createTestClient, REGISTRY } from "./testing.ts";

const anna = { username: "anna", password: "secret" };
const line = await quickHtpasswdLine("anna", "secret");

/** A registry that wants a login. */
function guarded(base: TestRegistry): TestRegistry {
  base.host.files.write(`${base.root}/htpasswd`, line);
  const { host, root } = base;
  return openTestRegistry({ authenticate: htpasswdAuth({ host, path: `${root}/htpasswd`, realm: "berth" }) });
}

/** A credential helper as a real program, which keeps a file for each server. Returns where it keeps them. */
function installHelper(base: TestRegistry): string {
  const { files } = base.host;
  const kept = `${base.root}/kept`;
  files.makeDirectory(kept);
  files.makeDirectory(`${base.root}/bin`);
  const program = `#!/bin/sh
input=$(cat)
file() { echo "${kept}/$(printf %s "$1" | tr '/:' '__')"; }
case $1 in
store) server=$(printf %s "$input" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/'); printf %s "$input" >"$(file "$server")" ;;
get) cat "$(file "$input")" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f "$(file "$input")" ;;
list) cat ${kept}/* 2>/dev/null | sed 's/.*"ServerURL":\\("[^"]*"\\),"Username":\\("[^"]*"\\).*/{\\1:\\2}/' | grep . || echo '{}' ;;
esac
`;
  files.write(`${base.root}/bin/docker-credential-kept`, program, { mode: 0o755 });
  process.env["PATH"] = `${base.root}/bin:${process.env["PATH"]}`;
  return kept;
}

test("login tries the credentials, keeps them for the owner only, and logout forgets them", async () => {
  using base = openTestRegistry();
  using registry = guarded(base);
  const { host, root } = base;
  const authFile = `${root}/new/auth.json`;
  const { context } = createTestClient({ [REGISTRY]: registry.handler }, { authFile });
  await assert.rejects(
    logIn(context, REGISTRY, { ...anna, password: "wrong" }),
    /Cannot log in to ".*": invalid user name or password/,
  );
  assert.equal(host.files.exists(authFile), false);
  await assert.rejects(
    currentLogin(context, REGISTRY),
    (error) => isFailure(error, "not-found") && error.message.includes(`looked in ${authFile}`),
  );
  assert.deepEqual(await logIn(context, REGISTRY, anna), { keptIn: authFile });
  assert.equal(host.files.stat(authFile)?.mode, 0o600);
  assert.equal(await currentLogin(context, `${REGISTRY}/team/os`), "anna");
  assert.deepEqual(await logOut(context, REGISTRY), {});
  assert.deepEqual(JSON.parse(host.files.readText(authFile)), { auths: {} });
  await assert.rejects(logOut(context, REGISTRY), (error) => isFailure(error, "not-found"));
  host.files.write(authFile, "{");
  await assert.rejects(logOut(context, REGISTRY), (error) => isFailure(error, "bad-input"));
  assert.equal(host.files.readText(authFile), "{");
});

test("a login goes to the helper that the file names, and comes from there", async () => {
  using base = openTestRegistry();
  using registry = guarded(base);
  const kept = installHelper(base);
  const { files } = base.host;
  const authFile = `${base.root}/auth.json`;
  files.write(authFile, JSON.stringify({ credHelpers: { [REGISTRY]: "kept" }, other: 1 }));
  const before = files.readText(authFile);
  const { context } = createTestClient({ [REGISTRY]: registry.handler }, { authFile });
  assert.deepEqual(await logIn(context, REGISTRY, anna), { keptIn: "docker-credential-kept" });
  assert.equal(files.readText(authFile), before);
  assert.deepEqual(files.list(kept), ["registry.test_5000"]);
  assert.equal(await currentLogin(context, REGISTRY), "anna");
  assert.deepEqual(await logOut(context, REGISTRY), {});
  assert.deepEqual(files.list(kept), []);
  await assert.rejects(currentLogin(context, REGISTRY), (error) => isFailure(error, "not-found"));
});

test("a helper that registries.conf puts first gets the login; one for a path stays in the file", async () => {
  using base = openTestRegistry();
  using registry = guarded(base);
  const kept = installHelper(base);
  const { files } = base.host;
  files.makeDirectory(`${base.root}/containers`);
  files.write(`${base.root}/containers/registries.conf`, 'credential-helpers = ["kept", "containers-auth.json"]\n');
  const authFile = `${base.root}/auth.json`;
  const { context } = createTestClient(
    { [REGISTRY]: registry.handler },
    { authFile, env: { XDG_CONFIG_HOME: base.root } },
  );
  assert.deepEqual(await logIn(context, REGISTRY, anna), { keptIn: "docker-credential-kept" });
  assert.deepEqual(await logIn(context, `${REGISTRY}/team`, anna), { keptIn: authFile });
  assert.deepEqual(await logOut(context, `${REGISTRY}/team`), { stillIn: "docker-credential-kept" });
  await logIn(context, `${REGISTRY}/team`, anna);
  await logOutOfAll(context);
  assert.deepEqual([files.list(kept), JSON.parse(files.readText(authFile))], [[], { auths: {} }]);
});

test("logout says where else there is a login for the registry", async () => {
  using base = openTestRegistry();
  const { files } = base.host;
  const { context: bare } = createTestClient({});
  const entry = { auths: { [REGISTRY]: { auth: btoa("anna:secret") } } };
  for (const directory of ["run/containers", "config/containers"]) {
    files.makeDirectory(`${base.root}/${directory}`);
    files.write(`${base.root}/${directory}/auth.json`, JSON.stringify(entry));
  }
  const env = { XDG_RUNTIME_DIR: `${base.root}/run`, XDG_CONFIG_HOME: `${base.root}/config` };
  const context: RemoteContext = { ...bare, host: { ...bare.host, env } };
  assert.deepEqual(await logOut(context, REGISTRY), { stillIn: `${base.root}/config/containers/auth.json` });
});

test("docker.io's other names are the same login", async () => {
  using base = openTestRegistry();
  const authFile = `${base.root}/auth.json`;
  base.host.files.write(
    authFile,
    JSON.stringify({ auths: { "https://index.docker.io/v1/": { auth: btoa("hub:1") } } }),
  );
  const { context } = createTestClient({}, { authFile });
  for (const name of ["docker.io", "index.docker.io", "docker.io/library"])
    assert.equal(await currentLogin(context, name), "hub");
  await logOut(context, "docker.io");
  assert.deepEqual(JSON.parse(base.host.files.readText(authFile)), { auths: {} });
});

test("a login is kept only under a name that is looked for", async () => {
  const client = createTestClient({});
  for (const path of ["team/os:1", `team/os@sha256:${"0".repeat(64)}`, "Team", "/os"])
    await assert.rejects(logIn(client.context, `${REGISTRY}/${path}`, anna), (error) => isFailure(error, "usage"));
  assert.deepEqual(client.requests, []);
});

test("parseRegistryName() takes hosts and paths below them, and rejects the rest", () => {
  assert.deepEqual(parseRegistryName("https://r.io:5000/"), { host: "r.io:5000", key: "r.io:5000" });
  assert.deepEqual(parseRegistryName("r.io/team"), { host: "r.io", key: "r.io/team" });
  for (const bad of ["", "-x", "r.io:port", "a b", "r.io:123456"])
    assert.throws(
      () => parseRegistryName(bad),
      (error) => isFailure(error, "usage"),
    );
});

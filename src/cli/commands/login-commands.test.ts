import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { type Printed, runWords } from "../testing.ts";
import { loginCommand } from "./login.ts";
import { logoutCommand } from "./logout.ts";

const commands = [loginCommand, logoutCommand];
const AUTH = "/run/user/1000/containers/auth.json";

/** A registry that lets anna in with her password. */
function hostWithRegistry(): FakeHost {
  const respond = async (request: Request): Promise<Response | undefined> => {
    if (request.url.startsWith("https:")) return undefined;
    const isAnna = request.headers.get("authorization") === `Basic ${btoa("anna:secret")}`;
    const challenge = { "www-authenticate": 'Basic realm="r"' };
    return new Response(null, isAnna ? {} : { status: 401, headers: challenge });
  };
  return createFakeHost({ network: { respond }, env: { HOME: "/home/anna", XDG_RUNTIME_DIR: "/run/user/1000" } });
}

const berth = (host: FakeHost, words: readonly string[], stdin = ""): Promise<Printed> =>
  runWords(host, commands, words, { stdin, ask: (question) => (question.startsWith("User") ? "anna" : "secret") });

test("login keeps what the registry takes, says who is logged in, and logout forgets it", async () => {
  const host = hostWithRegistry();
  const login = ["login", "--tls-verify=false", "-u", "anna", "--password-stdin", "r.test"];
  assert.match((await berth(host, login, "wrong\n")).err, /invalid user name or password/);
  assert.equal(host.files.exists(AUTH), false);
  assert.deepEqual(await berth(host, [...login, "-v"], "secret\n"), {
    status: 0,
    out: "Login Succeeded!\n",
    err: `Kept in ${AUTH}\n`,
  });
  assert.equal((await berth(host, ["login", "--get-login", "r.test"])).out, "anna\n");
  assert.equal((await berth(host, ["logout", "r.test"])).out, "Removed login credentials for r.test\n");
  const gone = await berth(host, ["login", "--get-login", "r.test"]);
  assert.equal(gone.status, 1);
  assert.match(gone.err, new RegExp(`Cannot find a login for "r.test": looked in ${AUTH}, /run/containers/`));
});

test("login asks for what is not given; logout --all forgets every login", async () => {
  const host = hostWithRegistry();
  assert.equal((await berth(host, ["login", "--tls-verify=false", "r.test"])).out, "Login Succeeded!\n");
  assert.equal((await berth(host, ["login", "--tls-verify=false", "q.test"])).status, 0);
  assert.equal((await berth(host, ["logout", "--all"])).out, "Removed login credentials for all registries\n");
  assert.deepEqual(JSON.parse(host.files.readText(AUTH)), { auths: {} });
});

for (const words of [
  ["login", "-p", "x", "--password-stdin", "-u", "anna", "r.test"],
  ["login", "--password-stdin", "r.test"],
  ["login", "-u", "anna", "-p", "x", "not a host"],
  ["logout"],
  ["logout", "--all", "r.test"],
]) {
  test(`berth ${words.join(" ")} is a usage error`, async () =>
    assert.equal((await berth(hostWithRegistry(), words, "x")).status, 2));
}

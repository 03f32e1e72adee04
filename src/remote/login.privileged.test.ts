/** Debian's skopeo and berth share logins: in the file, and in a credential helper that is a real program. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import type { RemoteContext } from "./context.ts";
import { currentLogin, logIn, logOut } from "./login.ts";

const host = createLinuxHost();

test("what one logs in the other finds, and logs out", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-login-test-");
  const at = (name: string): string => `${directory.path}/${name}`;
  await using server = await host.network.serve(
    async (request) => {
      const isAnna = request.headers.get("authorization") === `Basic ${btoa("anna:secret")}`;
      const challenge = { "www-authenticate": 'Basic realm="test"' };
      return new Response("{}", isAnna ? {} : { status: 401, headers: challenge });
    },
    { host: "127.0.0.1", port: 0 },
  );
  const name = `127.0.0.1:${server.port}`;
  host.files.makeDirectory(at("bin"));
  const helper = `#!/bin/sh
case $1 in
store) cat >${at("kept")} ;;
get) cat ${at("kept")} 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f ${at("kept")} ;;
esac
`;
  host.files.write(at("bin/docker-credential-kept"), helper, { mode: 0o755 });
  process.env["PATH"] = `${at("bin")}:${process.env["PATH"]}`;
  const env = { HOME: directory.path, PATH: process.env["PATH"] };
  const skopeo = async (...words: readonly string[]): Promise<string> => {
    const argv = ["skopeo", ...words, "--authfile", at("auth.json")];
    return (await host.exec([...argv, name], { timeoutMs: 60_000, env, stdin: "secret" })).stdout.toString().trim();
  };
  const skopeoLogin = ["login", "--tls-verify=false", "--username", "anna", "--password-stdin"];
  const context: RemoteContext = {
    host: { ...host, env },
    progress: silent,
    authFile: at("auth.json"),
    tlsVerify: false,
  };
  const anna = { username: "anna", password: "secret" };

  for (const [kind, text, keptIn] of [
    ["file", "{}", at("auth.json")],
    ["helper", JSON.stringify({ credHelpers: { [name]: "kept" } }), "docker-credential-kept"],
  ] as const) {
    host.files.write(at("auth.json"), text);
    assert.deepEqual(await logIn(context, name, anna), { keptIn }, kind);
    assert.equal(await skopeo("login", "--get-login"), "anna", kind);
    await skopeo("logout");
    await assert.rejects(currentLogin(context, name), /Cannot find a login/, kind);
    await skopeo(...skopeoLogin);
    assert.equal(await currentLogin(context, name), "anna", kind);
    await logOut(context, name);
    await assert.rejects(skopeo("login", "--get-login"), /not logged into/, kind);
  }
});

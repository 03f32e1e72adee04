import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { openTestRegistry, type TestRegistry } from "../../registry/testing.ts";
import { type Printed, runWords } from "../testing.ts";
import { generateKeyPairCommand } from "./generate-key-pair.ts";
import { signCommand } from "./sign.ts";
import { verifyCommand } from "./verify.ts";

const commands = [generateKeyPairCommand, signCommand, verifyCommand];
const IMAGE = "r.test:5000/team/os:v1";

function hostFor(registry: TestRegistry, files: Readonly<Record<string, string>> = {}): FakeHost {
  const respond = async (request: Request): Promise<Response | undefined> =>
    request.url.startsWith("https:") ? undefined : registry.handler(request);
  return createFakeHost({ network: { respond }, files, env: { COSIGN_PASSWORD: "secret" } });
}

const berth = (host: FakeHost, ...words: string[]): Promise<Printed> => runWords(host, commands, words);

test("a key pair is made once, signs an image, and verifies it", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const host = hostFor(registry);
  const made = await berth(host, "generate-key-pair", "--output-key-prefix", "/os");
  assert.deepEqual(made, { status: 0, out: "Private key: /os.key\nPublic key: /os.pub\n", err: "" });
  assert.equal(host.files.stat("/os.key")?.mode, 0o600);
  assert.match((await berth(host, "generate-key-pair", "--output-key-prefix", "/os")).err, /it is there already/);

  const verify = ["verify", "--tls-verify=false", "--key", "/os.pub", IMAGE];
  assert.match((await berth(host, ...verify)).err, /it has no signature for sha256:/);
  const signed = await berth(host, "sign", "--tls-verify=false", "--key", "/os.key", IMAGE);
  assert.deepEqual(signed, { status: 0, out: `Signed r.test:5000/team/os@${digest}\n`, err: "" });
  const verified = await berth(host, ...verify);
  assert.equal(verified.status, 0);
  assert.ok(verified.out.startsWith(`Verified r.test:5000/team/os@${digest}\n  signed by /os.pub as ${IMAGE} (`));
});

test("without --key this machine's policy is asked", async () => {
  using registry = openTestRegistry();
  await registry.pushImage("team/os", "v1");
  const verify = (files: Readonly<Record<string, string>>): ReturnType<typeof berth> =>
    berth(hostFor(registry, files), "verify", "--tls-verify=false", IMAGE);
  assert.match((await verify({})).out, /there is no policy.json: everything is accepted/);
  const accept = '{"default":[{"type":"insecureAcceptAnything"}]}';
  assert.match(
    (await verify({ "/etc/containers/policy.json": accept })).out,
    /the policy for "default" in .*: insecureAcceptAnything/,
  );
  const reject = await verify({ "/etc/containers/policy.json": '{"default":[{"type":"reject"}]}' });
  assert.equal(reject.status, 1);
  assert.match(reject.err, /Cannot use "r.test:5000\/team\/os:v1": the policy for "default"/);
});

for (const [words, pattern, status] of [
  [["sign", IMAGE], /wanted --key FILE/, 2],
  [["sign", "--key", "/none", IMAGE], /"\/none"/, 1],
  [["sign", "--key", "/bad", IMAGE], /Cannot use private key "\/bad"/, 1],
  [["sign", "--key", "/bad", "os"], /names no registry/, 2],
  [["sign", "--key", "/bad", "--identity", "Bad Ref", IMAGE], /--identity "Bad Ref": wanted an image reference/, 2],
  [["verify", "--key", "/bad", "--identity", "r.io/x:", IMAGE], /--identity "r.io\/x:": wanted/, 2],
  [["verify", "--key", "/bad", IMAGE], /Cannot use public key "\/bad"/, 1],
  [["verify", "--identity", "r.io/x", IMAGE], /--identity needs --key/, 2],
  [["verify", "--any-name", IMAGE], /--any-name needs --key/, 2],
  [["verify", "--key", "/bad", "--any-name", "--identity", "r.io/x", IMAGE], /exclude each other/, 2],
] as const) {
  test(`berth ${words.join(" ")} is one clear error`, async () => {
    using registry = openTestRegistry();
    const result = await berth(hostFor(registry, { "/bad": "no key" }), ...words);
    assert.match(result.err, pattern);
    assert.equal(result.status, status);
  });
}

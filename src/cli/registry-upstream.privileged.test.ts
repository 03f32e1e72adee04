/** Debian's docker-registry as the upstream, berth's registry as its cache, Debian's skopeo as the client. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { startDockerRegistry } from "../../test/support/docker-registry.ts";
import { digestHex, digestOf } from "../core/digest.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { startRegistry } from "../registry/serve.ts";
import { makeImage } from "../remote/testing.ts";
import { connectUpstream } from "./registry-upstream.ts";

const host = createLinuxHost();

test("skopeo pulls through the cache, also what the upstream no longer serves", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-upstream-test-");
  const at = (name: string): string => `${directory.path}/${name}`;
  const skopeo = async (...argv: string[]): Promise<string> =>
    (await host.exec(["skopeo", ...argv], { timeoutMs: 120_000 })).stdout.toString();

  host.files.makeDirectory(at("upstream"));
  const login = { user: "anna", password: "secret", tls: false };
  const upstream = await startDockerRegistry(host, at("upstream"), login);
  await using stopUpstream = upstream;
  const upstreamHost = upstream.url.replace(/^https?:\/\//, "");
  const image = makeImage([randomBytes(2_000_000), "two"]);
  writeDir(at("image"), image);
  const credentials = ["--dest-creds", "anna:secret", "--dest-tls-verify=false"];
  await skopeo("copy", ...credentials, `dir:${at("image")}`, `docker://${upstreamHost}/team/os:v1`);
  const entry = { auth: Buffer.from("anna:secret").toString("base64") };
  host.files.write(at("auth.json"), JSON.stringify({ auths: { [upstreamHost]: entry } }));

  host.files.makeDirectory(at("cache/data"));
  const configuration = [
    'listen = "127.0.0.1:0"',
    '[storage]\ndriver = "files"\ndirectory = "data"',
    `[[upstream]]\nprefix = "hub"\nlocation = "${upstreamHost}"\ninsecure = true\nauth-file = "../auth.json"\ninterval = "1ms"`,
  ];
  host.files.write(at("cache/registry.toml"), configuration.join("\n"));
  const client = { host, progress: silent };
  const connect = (options: Parameters<typeof connectUpstream>[1]) => connectUpstream(client, options);
  await using cache = await startRegistry(host, at("cache"), { progress: silent, connectUpstream: connect });
  const name = `${cache.url.replace("http://", "")}/hub/team/os`;
  const plain = ["--src-tls-verify=false"];

  const pull = async (tag: string, to: string): Promise<void> => {
    await skopeo("copy", "--preserve-digests", ...plain, `docker://${name}:${tag}`, `dir:${at(to)}`);
    for (const blob of [image.configBytes, ...image.layers]) {
      assert.deepEqual(host.files.read(at(`${to}/${digestHex(digestOf(blob))}`)), Buffer.from(blob));
    }
    assert.deepEqual(host.files.read(at(`${to}/manifest.json`)), image.manifestBytes);
  };
  await pull("v1", "first");
  const tags: unknown = JSON.parse(await skopeo("list-tags", "--tls-verify=false", `docker://${name}`));
  assert.deepEqual(Object(tags).Tags, ["v1"]);
  await assert.rejects(skopeo("inspect", "--tls-verify=false", `docker://${name}:absent`), /manifest unknown/);
  await assert.rejects(
    skopeo("copy", "--dest-tls-verify=false", `dir:${at("image")}`, `docker://${name}:v2`),
    /405|unsupported|copies, to be read only/i,
  );

  await stopUpstream[Symbol.asyncDispose]();
  await pull("v1", "second");
  const answer = await host.network.request({ method: "HEAD", url: `${cache.url}/v2/hub/team/os/manifests/v1` });
  answer.discard();
  assert.match(answer.headers["warning"] ?? "", /^299 - ".* cannot be asked/);
});

/** The layout of skopeo's dir: transport. */
function writeDir(directory: string, image: ReturnType<typeof makeImage>): void {
  host.files.makeDirectory(directory);
  host.files.write(`${directory}/version`, "Directory Transport Version: 1.1\n");
  host.files.write(`${directory}/manifest.json`, image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers]) {
    host.files.write(`${directory}/${digestHex(digestOf(blob))}`, blob);
  }
}

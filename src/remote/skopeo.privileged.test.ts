/** Debian's skopeo and berth against berth's registry over TLS with a login; and berth's pull and push through a real store. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestHex, digestOf } from "../core/digest.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { parseImageRef } from "../oci/reference.ts";
import { initRegistry } from "../registry/init.ts";
import { startRegistry } from "../registry/serve.ts";
import { openStore } from "../store/open.ts";
import type { RemoteContext } from "./context.ts";
import { logIn } from "./login.ts";
import { pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { makeImage } from "./testing.ts";

const host = createLinuxHost();
const exec = async (...argv: string[]): Promise<string> =>
  (await host.exec(argv, { timeoutMs: 120_000 })).stdout.toString();

test("skopeo and berth push, pull, inspect and delete with equal digests", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-skopeo-test-");
  const at = (name: string): string => `${directory.path}/${name}`;
  await initRegistry(host, at("registry"), { user: "anna", password: "secret", hostnames: [], tls: true });
  host.files.makeDirectory(at("certs"));
  host.files.copy(at("registry/tls/registry.crt"), at("certs/ca.crt"));
  await using registry = await startRegistry(host, at("registry"), {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
  });
  const name = registry.url.replace("https://", "");
  const authFile = at("auth.json");
  const tls = (where: string): string => `--${where}cert-dir=${at("certs")}`;

  const image = makeImage([
    await tarOf(at("one"), randomBytes(3_000_000)),
    await tarOf(at("two"), Buffer.from("hello")),
  ]);
  writeDir(at("image"), image);

  // berth's login is skopeo's.
  const env = { ...process.env, HOME: directory.path, XDG_CONFIG_HOME: at("config") };
  host.files.makeDirectory(at(`config/containers/certs.d/${name}`));
  host.files.copy(at("certs/ca.crt"), at(`config/containers/certs.d/${name}/ca.crt`));
  const context: RemoteContext = { host: { ...host, env }, progress: silent, authFile };
  await logIn(context, name, { username: "anna", password: "secret" });
  assert.equal((await exec("skopeo", "login", "--get-login", "--authfile", authFile, name)).trim(), "anna");

  await exec(
    "skopeo",
    "copy",
    "--preserve-digests",
    "--authfile",
    authFile,
    tls("dest-"),
    `dir:${at("image")}`,
    `docker://${name}/team/os:v1`,
  );
  const inspected = JSON.parse(
    await exec("skopeo", "inspect", "--authfile", authFile, tls(""), `docker://${name}/team/os:v1`),
  );
  assert.equal(inspected.Digest, image.digest);
  assert.deepEqual(inspected.RepoTags, ["v1"]);

  // Through a real store and out again under another name: the same manifest, the same blobs.
  {
    using store = openStore(host, at("store"), { keepBlobs: true, create: true, access: "shared" });
    const pulled = await pullImage(context, store, parseImageRef(`${name}/team/os:v1`));
    assert.equal(pulled.digest, image.digest);
    assert.deepEqual(host.files.listIfAny(`${store.path}/partial`), []);
    await pushImage(context, store, pulled, parseImageRef(`${name}/other/os:v2`));
  }
  await exec(
    "skopeo",
    "copy",
    "--preserve-digests",
    "--authfile",
    authFile,
    tls("src-"),
    `docker://${name}/other/os:v2`,
    `dir:${at("out")}`,
  );
  assert.deepEqual(host.files.read(at("out/manifest.json")), image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers]) {
    assert.deepEqual(host.files.read(at(`out/${digestHex(digestOf(blob))}`)), Buffer.from(blob));
  }

  await exec("skopeo", "delete", "--authfile", authFile, tls(""), `docker://${name}/team/os:v1`);
  await assert.rejects(
    exec("skopeo", "inspect", "--authfile", authFile, tls(""), `docker://${name}/team/os:v1`),
    /manifest unknown/,
  );
  await assert.rejects(
    exec("skopeo", "inspect", "--no-creds", tls(""), `docker://${name}/other/os:v2`),
    /unauthorized/,
  );
});

/** A tar with one file, made by GNU tar. */
async function tarOf(directory: string, content: Buffer): Promise<Buffer> {
  host.files.makeDirectory(directory);
  host.files.write(`${directory}/file`, content);
  const { stdout } = await host.exec(["tar", "-C", directory, "--owner=0", "--group=0", "-c", "file"], {
    timeoutMs: 10_000,
  });
  return stdout;
}

/** The layout of skopeo's dir: transport. */
function writeDir(directory: string, image: ReturnType<typeof makeImage>): void {
  host.files.makeDirectory(directory);
  host.files.write(`${directory}/version`, "Directory Transport Version: 1.1\n");
  host.files.write(`${directory}/manifest.json`, image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers])
    host.files.write(`${directory}/${digestHex(digestOf(blob))}`, blob);
}

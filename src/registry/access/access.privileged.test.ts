/** Debian's htpasswd, skopeo and curl as judges of logins, tokens, robots and anonymous reading. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { parseJsonObject } from "../../core/json.ts";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { MANIFEST } from "../../oci/media-types.ts";
import { initRegistry } from "../init.ts";
import { startRegistry } from "../serve.ts";
import { createRobot, revokeRobot } from "./accounts.ts";

const host = createLinuxHost();

const RULES = `
[[permissions]]
repositories = ["**"]
users = ["anna"]
actions = ["pull", "push", "delete"]
[[permissions]]
repositories = ["team/**"]
users = ["made-by-apache"]
actions = ["pull"]
[[permissions]]
repositories = ["public/**"]
anonymous = true
actions = ["pull"]
`;

test("skopeo, curl and htpasswd: users, tokens, robots, refresh tokens, anonymous reading", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-access-judges-");
  const at = (name: string): string => `${directory.path}/${name}`;
  const folder = at("registry");
  await initRegistry(host, folder, { user: "anna", password: "secret", hostnames: [], tls: true });
  host.files.write(`${folder}/registry.toml`, host.files.readText(`${folder}/registry.toml`) + RULES);
  const run = async (...argv: string[]): Promise<string> =>
    (await host.exec(argv, { timeoutMs: 60_000, env: { ...process.env, HOME: directory.path } })).stdout.toString();
  await run("htpasswd", "-bB", `${folder}/htpasswd`, "made-by-apache", "s3cret");
  host.files.makeDirectory(at("certs"));
  host.files.copy(`${folder}/tls/registry.crt`, at("certs/ca.crt"));
  await using registry = await startRegistry(host, folder, {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
  });

  const server = registry.url.replace("https://", "");
  const authFile = (name: string): string => at(`auth-${name}.json`);
  const skopeo = async (who: string, verb: string, ...words: string[]): Promise<string> => {
    const prefix = verb === "copy" ? (words[0]?.startsWith("docker:") ? "--src-" : "--dest-") : "--";
    return run("skopeo", verb, `${prefix}cert-dir=${at("certs")}`, "--authfile", authFile(who), ...words);
  };
  const logIn = (who: string, user: string, password: string): Promise<string> =>
    skopeo(who, "login", "-u", user, "-p", password, server);
  const curl = (...words: string[]): Promise<string> =>
    run("curl", "-sS", "--cacert", at("certs/ca.crt"), "-o", at("body"), "-w", "%{http_code}", ...words);

  // A user that may do everything pushes.
  host.files.makeDirectory(at("layer"));
  await run("tar", "-C", at("layer"), "-cf", at("layer.tar"), ".");
  writeImage(at("image"), host.files.read(at("layer.tar")));
  await logIn("anna", "anna", "secret");
  for (const name of ["team/os", "public/os", "secret/os"])
    await skopeo("anna", "copy", `dir:${at("image")}`, `docker://${server}/${name}:v1`);
  await assert.rejects(logIn("wrong", "anna", "wrong"), /unauthorized|invalid username/i);

  // A user of Apache's tool reads what it may.
  await logIn("apache", "made-by-apache", "s3cret");
  await skopeo("apache", "inspect", `docker://${server}/team/os:v1`);
  await assert.rejects(skopeo("apache", "inspect", `docker://${server}/secret/os:v1`));
  await assert.rejects(skopeo("apache", "copy", `dir:${at("image")}`, `docker://${server}/team/new:v1`));

  // Nobody reads what is public.
  host.files.write(authFile("nobody"), "{}");
  await skopeo("nobody", "inspect", `docker://${server}/public/os:v1`);
  await assert.rejects(skopeo("nobody", "inspect", `docker://${server}/team/os:v1`));
  assert.equal(await curl(`${registry.url}/v2/public/os/manifests/v1`), "200");
  assert.equal(await curl(`${registry.url}/v2/team/os/manifests/v1`), "401");

  // A robot pushes where it may, until it is revoked.
  const robot = createRobot(host, folder, {
    name: "ci",
    lifeMs: 3_600_000,
    repositories: ["team/*"],
    actions: ["pull", "push"],
  });
  await logIn("robot", "ci", robot.key);
  await skopeo("robot", "copy", `dir:${at("image")}`, `docker://${server}/team/built:v1`);
  await assert.rejects(skopeo("robot", "copy", `dir:${at("image")}`, `docker://${server}/public/built:v1`));
  await assert.rejects(skopeo("robot", "delete", `docker://${server}/team/built:v1`));

  // An API key as docker's identity token: skopeo refreshes by POST.
  host.files.write(
    authFile("identity"),
    JSON.stringify({
      auths: { [server]: { auth: btoa("00000000-0000-0000-0000-000000000000:"), identitytoken: robot.key } },
    }),
  );
  await skopeo("identity", "inspect", `docker://${server}/team/built:v1`);

  // The same with a refresh token that a login got; curl shows the token flow step by step.
  const token = `${registry.url}/token?service=${server}&offline_token=true&scope=repository:team/os:pull`;
  assert.equal(await curl("-u", "made-by-apache:s3cret", `${token}&scope=repository:secret/os:pull`), "200");
  const answer = parseJsonObject(host.files.readText(at("body")), "token");
  const bearer = `Authorization: Bearer ${String(answer["token"])}`;
  assert.equal(await curl("-H", bearer, `${registry.url}/v2/team/os/manifests/v1`), "200");
  assert.equal(await curl("-H", bearer, `${registry.url}/v2/secret/os/manifests/v1`), "403");
  assert.equal(await curl("-H", bearer, `${registry.url}/v2/secret/none/manifests/v1`), "403");
  host.files.write(
    authFile("identity"),
    JSON.stringify({ auths: { [server]: { auth: btoa("x:"), identitytoken: String(answer["refresh_token"]) } } }),
  );
  await skopeo("identity", "inspect", `docker://${server}/team/os:v1`);

  revokeRobot(host, folder, "ci");
  await assert.rejects(skopeo("robot", "inspect", `docker://${server}/team/built:v1`));
  await skopeo("anna", "delete", `docker://${server}/team/built:v1`);
  await assert.rejects(skopeo("anna", "inspect", `docker://${server}/team/built:v1`));
});

/** A `dir:` image with one layer. */
function writeImage(path: string, layer: Buffer): void {
  const files: Record<string, Buffer> = {};
  const add = (bytes: Buffer, mediaType: string): { mediaType: string; digest: string; size: number } => {
    const digest = digestOf(bytes);
    files[digest.slice("sha256:".length)] = bytes;
    return { mediaType, digest, size: bytes.length };
  };
  const layers = [add(layer, "application/vnd.oci.image.layer.v1.tar")];
  const config = add(
    Buffer.from(
      JSON.stringify({
        architecture: "amd64",
        os: "linux",
        rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
      }),
    ),
    "application/vnd.oci.image.config.v1+json",
  );
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config, layers };
  files["manifest.json"] = Buffer.from(JSON.stringify(manifest));
  files["version"] = Buffer.from("Directory Transport Version: 1.1\n");
  host.files.makeDirectory(path);
  for (const [name, bytes] of Object.entries(files)) host.files.write(`${path}/${name}`, bytes);
}

test("curl with client certificates; a renewed key pair is served without a restart; the audit log tells who did what", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-access-mtls-");
  const at = (name: string): string => `${directory.path}/${name}`;
  const run = async (...argv: string[]): Promise<string> =>
    (await host.exec(argv, { timeoutMs: 60_000 })).stdout.toString();
  const newKey = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const selfSigned = (name: string): Promise<string> =>
    run(
      ...["openssl", "req", "-x509", "-batch", ...newKey, "-keyout", at(`${name}.key`), "-out", at(`${name}.crt`)],
      ...["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"],
    );
  const folder = at("registry");
  await initRegistry(host, folder, { user: "anna", password: "secret", hostnames: [], tls: true });
  await selfSigned("clients");
  await run("openssl", "req", "-batch", ...newKey, "-keyout", at("me.key"), "-subj", "/CN=me", "-out", at("me.csr"));
  const signer = ["-CA", at("clients.crt"), "-CAkey", at("clients.key"), "-CAcreateserial"];
  await run("openssl", "x509", "-req", "-in", at("me.csr"), ...signer, "-out", at("me.crt"));
  const config = host.files.readText(`${folder}/registry.toml`);
  host.files.write(
    `${folder}/registry.toml`,
    `${config.replace("[tls]", `[tls]\nclient-ca = "${at("clients.crt")}"`)}
[audit]
file = "audit.log"
[[permissions]]
repositories = ["mine/**"]
users = ["me"]
actions = ["pull", "push"]
`,
  );
  await using registry = await startRegistry(host, folder, {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
  });

  const status = async (ca: string, ...words: string[]): Promise<string> => {
    const { stdout } = await host.exec(
      ["curl", "-sS", "--cacert", ca, "-o", "/dev/null", "-w", "%{http_code}", ...words],
      { timeoutMs: 20_000, check: false },
    );
    return stdout.toString();
  };
  const certificate = ["--cert", at("me.crt"), "--key", at("me.key")];
  const first = `${folder}/tls/registry.crt`;
  const upload = (name: string): string[] => [
    "-X",
    "POST",
    `${registry.url}/v2/${name}/blobs/uploads/?digest=${digestOf("x")}`,
  ];
  assert.equal(await status(first, `${registry.url}/v2/`), "401");
  assert.equal(await status(first, ...certificate, `${registry.url}/v2/`), "200");
  assert.equal(await status(first, ...certificate, "-d", "x", ...upload("mine/os")), "201");
  assert.equal(await status(first, ...certificate, "-d", "x", ...upload("other/os")), "403");

  await selfSigned("renewed");
  host.files.copy(first, at("old.crt"));
  host.files.replace(first, host.files.readText(at("renewed.crt")));
  host.files.replace(`${folder}/tls/registry.key`, host.files.readText(at("renewed.key")));
  let renewed = "";
  for (let tries = 0; tries < 300 && renewed !== "200"; tries += 1) {
    await host.clock.sleep(100);
    renewed = await status(at("renewed.crt"), ...certificate, `${registry.url}/v2/`);
  }
  assert.equal(renewed, "200");
  assert.equal(await status(at("old.crt"), ...certificate, `${registry.url}/v2/`), "000");

  const audited = host.files.readText(`${folder}/audit.log`).trimEnd().split("\n");
  assert.deepEqual(
    audited
      .map((line) => parseJsonObject(line, "audit"))
      .map((line) => [line["user"], line["action"], line["outcome"], line["repository"]]),
    [
      ["me", "push-blob", "done", "mine/os"],
      ["me", "push-blob", "refused", "other/os"],
    ],
  );
});

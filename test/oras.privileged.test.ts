/** Debian's oras against berth's registry over TLS with a login: artifacts, what is attached to them, copies, deletion. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../src/core/digest.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { unpackPackages } from "./support/debian-packages.ts";
import { startLoginRegistry } from "./support/login-registry.ts";

const host = createLinuxHost();

test("oras pushes, attaches, discovers, pulls, copies and deletes", async () => {
  using directory = host.files.temporaryDirectory("/dev/shm/berth-oras-");
  const at = (name: string): string => `${directory.path}/${name}`;
  await using registry = await startLoginRegistry(host, directory.path);
  host.files.makeDirectory(at("debian"));
  // bookworm has none.
  const root = await unpackPackages(host, at("debian"), { suite: "trixie", packages: ["oras"] });
  const { address, user, password } = registry;
  const [one, two] = [`${address}/art/one`, `${address}/art/two`];

  const oras = async (words: readonly string[], stdin?: string): Promise<string> => {
    const options = { timeoutMs: 60_000, cwd: directory.path, ...(stdin !== undefined && { stdin }) };
    return (await host.exec([`${root}/usr/bin/oras`, ...words], options)).stdout.toString();
  };
  const access = (side = ""): string[] => [
    `--${side}ca-file=${registry.certificate}`,
    `--${side}registry-config=${at("oras.json")}`,
  ];
  const digestIn = (json: string): string => JSON.parse(json).digest;
  const referrers = async (image: string, ...words: readonly string[]): Promise<string[]> => {
    const { manifests } = JSON.parse(await oras(["discover", ...access(), "--format=json", ...words, image]));
    return manifests.map((entry: { digest: string }) => entry.digest);
  };

  await assert.rejects(oras(["repo", "ls", ...access(), address]), /authentication required/);
  await oras(["login", ...access(), "--username", user, "--password-stdin", address], password);

  host.files.write(at("notes.txt"), "hello\n");
  host.files.write(at("sbom.json"), "{}\n");
  const typed = ["--artifact-type", "application/x.notes"];
  const pushed = digestIn(
    await oras(["push", ...access(), "--format=json", ...typed, `${one}:v1`, "notes.txt:text/plain"]),
  );
  const sbom = digestIn(
    await oras([
      "attach",
      ...access(),
      "--format=json",
      "--artifact-type=application/x.sbom",
      `${one}:v1`,
      "sbom.json:application/json",
    ]),
  );
  assert.deepEqual(await referrers(`${one}:v1`), [sbom]);
  assert.deepEqual(await referrers(`${one}:v1`, "--artifact-type=application/x.sbom"), [sbom]);
  assert.deepEqual(await referrers(`${one}:v1`, "--artifact-type=application/x.other"), []);

  // To another repository with what is attached: its blobs are mounted.
  const copied = await oras(["cp", "--recursive", ...access("from-"), ...access("to-"), `${one}:v1`, `${two}:v1`]);
  assert.match(copied, /Mounted .* notes\.txt/);
  assert.deepEqual(await referrers(`${two}:v1`), [sbom]);
  await oras(["pull", ...access(), "--output", at("pulled"), `${two}@${pushed}`]);
  assert.equal(host.files.readText(at("pulled/notes.txt")), "hello\n");
  assert.equal(digestOf(await oras(["manifest", "fetch", ...access(), `${two}:v1`])), pushed);

  await oras(["tag", ...access(), `${two}:v1`, "v2", "v3"]);
  assert.equal(await oras(["repo", "tags", ...access(), two]), "v1\nv2\nv3\n");
  assert.equal(await oras(["repo", "ls", ...access(), address]), "art/one\nart/two\n");

  host.files.write(at("loose"), "no manifest names it");
  await oras(["blob", "push", ...access(), two, "loose"]);
  const loose = `${two}@${digestOf("no manifest names it")}`;
  assert.equal(await oras(["blob", "fetch", ...access(), "--output=-", loose]), "no manifest names it");
  await oras(["blob", "delete", ...access(), "--force", loose]);
  await assert.rejects(oras(["blob", "fetch", ...access(), "--output=-", loose]), /not found/);

  // By one of its tags: the manifest goes, and all its tags with it, in this repository.
  await oras(["manifest", "delete", ...access(), "--force", `${two}:v1`]);
  assert.equal(await oras(["repo", "tags", ...access(), two]), "");
  await assert.rejects(oras(["pull", ...access(), `${two}@${pushed}`]), /not found/);
  assert.deepEqual(await referrers(`${one}:v1`), [sbom]);
  await oras(["manifest", "delete", ...access(), "--force", `${one}@${sbom}`]);
  assert.deepEqual(await referrers(`${one}:v1`), []);

  await oras(["logout", `--registry-config=${at("oras.json")}`, address]);
  await assert.rejects(oras(["pull", ...access(), `${one}:v1`]), /authentication required/);
});

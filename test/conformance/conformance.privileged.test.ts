/** The suite can fail: it finds what Debian's docker-registry 2.8.2 is known to lack, and passes what that registry has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLinuxHost } from "../../src/host/linux.ts";
import { CASES, conformance } from "./conformance.ts";
import { startDockerRegistry } from "../support/docker-registry.ts";

/** By what the failing cases' names must match: each stands for a gap of that registry. */
const KNOWN_GAPS = [
  /^a single POST stores a blob of 5000 bytes by sha256$/,
  /^POST and PUT stores a blob of 5000 bytes by sha512$/,
  /^a PATCH that does not go on .* gives 416/,
  /^a mount without from gives 201/,
  /^Range bytes=5000-10000 gives 416$/,
  /^an image is pushed by digest, its parts by sha512/,
  /^layers that are fetched elsewhere is pushed by tag/,
  /^a malformed digest or tag of a manifest gives 404 or 400/,
  /^last is exclusive/,
  /^n=0 gives an empty list/,
  /^referrers of an unknown subject .*sha256/,
  /^manifests with a subject answer OCI-Subject .*sha256/,
  /^a deleted tag is gone at once/,
  /^a manifest pushed by digest with \?tag=/,
];

test("docker-registry 2.8.2 fails the cases that it is known to fail, and passes most", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory("/tmp/berth-conformance-");
  const credentials = { user: "anna", password: "secret" };
  await using registry = await startDockerRegistry(host, directory.path, { ...credentials, tls: true });
  const { passed, failed } = await conformance(registry.url, credentials, { ca: registry.ca });
  assert.equal(passed.length + failed.length, CASES.length);
  const names = failed.map(({ name }) => name);
  for (const gap of KNOWN_GAPS)
    assert.ok(
      names.some((name) => gap.test(name)),
      `${String(gap)} is not among ${names.join("\n")}`,
    );
  assert.ok(passed.length > CASES.length / 3, `only ${passed.length} passed`);
  assert.ok(passed.includes("POST and PUT stores a blob of 5000 bytes by sha256"));
});

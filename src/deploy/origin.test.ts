import { strict as assert } from "node:assert";
import { test } from "node:test";
import { parseDigest } from "../core/digest.ts";
import { formatImageSpec, formatOrigin, formatTransport, type Origin, parseOrigin } from "./origin.ts";

const DIGEST = parseDigest(`sha256:${"ab".repeat(32)}`);
const ORIGIN: Origin = {
  image: { transport: "registry", image: "registry.example.com:5000/os:1" },
  bootType: "bls",
  bootDigest: "cd".repeat(32),
  manifestDigest: DIGEST,
};
const TEXT = `[origin]
container-image-reference=ostree-unverified-image:docker://registry.example.com:5000/os:1

[boot]
boot_type=bls
digest=${"cd".repeat(32)}

[image]
manifest_digest=${DIGEST}
`;

test("formatOrigin() and parseOrigin() are inverse", () => {
  assert.equal(formatOrigin(ORIGIN), TEXT);
  assert.deepEqual(parseOrigin(TEXT), ORIGIN);
});

for (const [reference, transport, image] of [
  ["ostree-unverified-registry:host/os:1", "registry", "host/os:1"],
  ["ostree-unverified-image:registry:host/os:1", "registry", "host/os:1"],
  ["ostree-image-signed:docker://host/os:1", "registry", "host/os:1"],
  ["ostree-remote-registry:fedora:host/os:1", "registry", "host/os:1"],
  ["ostree-unverified-image:oci:/var/os", "oci", "/var/os"],
  ["ostree-unverified-image:containers-storage:localhost/os", "containers-storage", "localhost/os"],
] as const) {
  test(`parseOrigin() reads ${reference}`, () => {
    const origin = parseOrigin(`# x\n[origin]\ncontainer-image-reference=${reference}\n`);
    assert.deepEqual(origin, {
      image: { transport, image },
      bootType: "bls",
      bootDigest: undefined,
      manifestDigest: undefined,
    });
  });
}

for (const [what, text, message] of [
  ["no reference", "[origin]\n", /container-image-reference is missing/],
  ["an unknown form", "[origin]\ncontainer-image-reference=host/os:1\n", /container-image-reference is "host\/os:1"/],
  [
    "an unknown transport",
    "[origin]\ncontainer-image-reference=ostree-unverified-image:ftp:x\n",
    /is "ostree-unverified-image:ftp:x"/,
  ],
  [
    "an unknown boot type",
    "[origin]\ncontainer-image-reference=ostree-unverified-registry:h/o\n[boot]\nboot_type=x\n",
    /boot_type is "x"/,
  ],
  [
    "a bad digest",
    "[origin]\ncontainer-image-reference=ostree-unverified-registry:h/o\n[image]\nmanifest_digest=x\n",
    /Cannot parse digest "x"/,
  ],
  ["a line that is none", "[origin]\nrubbish\n", /line 2: "rubbish"/],
] as const) {
  test(`parseOrigin() rejects ${what}`, () => assert.throws(() => parseOrigin(text), message));
}

test("an image is shown bare for a registry, with its transport otherwise", () => {
  assert.equal(formatImageSpec(ORIGIN.image), "registry.example.com:5000/os:1");
  assert.equal(formatTransport(ORIGIN.image), "docker://registry.example.com:5000/os:1");
  assert.equal(formatImageSpec({ transport: "oci", image: "/x" }), "oci:/x");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseImageRef } from "../../oci/reference.ts";
import { scopesOf } from "./scopes.ts";
import { describeIdentity, matchesIdentity, parseSignedIdentity } from "./signed-identity.ts";

const digest = `sha256:${"a".repeat(64)}`;
const other = `sha256:${"b".repeat(64)}`;
const remap = (prefix: string, signedPrefix: string): object => ({ type: "remapIdentity", prefix, signedPrefix });

for (const [identity, image, signed, wanted] of [
  [{ type: "matchExact" }, "r.io/a/os:1", "r.io/a/os:1", true],
  [{ type: "matchExact" }, "r.io/a/os:1", "r.io/a/os:2", false],
  [{ type: "matchExact" }, "r.io/a/os:1", "r.io/a/os", false],
  [{ type: "matchExact" }, "r.io/a/os:latest", "r.io/a/os", false],
  [{ type: "matchExact" }, `r.io/a/os@${digest}`, "r.io/a/os:1", false],
  [{ type: "matchExact" }, `r.io/a/os@${digest}`, `r.io/a/os@${digest}`, true],
  [{ type: "matchExact" }, "docker.io/library/debian:12", "debian:12", true],
  [{ type: "matchRepoDigestOrExact" }, "r.io/a/os:1", "r.io/a/os:1", true],
  [{ type: "matchRepoDigestOrExact" }, "r.io/a/os:1", "r.io/a/os:2", false],
  [{ type: "matchRepoDigestOrExact" }, "r.io/a/os:1", "r.io/a/os", false],
  [{ type: "matchRepoDigestOrExact" }, "r.io/a/os:latest", "r.io/a/os:latest", true],
  [{ type: "matchRepoDigestOrExact" }, `r.io/a/os@${digest}`, "r.io/a/os:1", true],
  [{ type: "matchRepoDigestOrExact" }, `r.io/a/os:9@${digest}`, "r.io/a/os:1", true],
  [{ type: "matchRepoDigestOrExact" }, `r.io/a/os@${digest}`, `r.io/a/os@${other}`, true],
  [{ type: "matchRepoDigestOrExact" }, `r.io/a/os@${digest}`, "r.io/a/os", false],
  [{ type: "matchRepoDigestOrExact" }, `r.io/a/os@${digest}`, "r.io/b/os:1", false],
  [{ type: "matchRepository" }, "r.io/a/os:1", "r.io/a/os", true],
  [{ type: "matchRepository" }, "r.io/a/os:1", "r.io/a/os:7", true],
  [{ type: "matchRepository" }, "r.io/a/os:1", "r.io/a/os2", false],
  [{ type: "matchRepository" }, "r.io/a/os:1", "UPPER", false],
  [{ type: "matchRepository" }, "r.io/a/os:1", "", false],
  [{ type: "matchRepository" }, "r.io/a/os:1", "docker://r.io/a/os", false],
  [{ type: "exactReference", dockerReference: "r.io/x:1" }, "m.lan/a/os:1", "r.io/x:1", true],
  [{ type: "exactReference", dockerReference: "r.io/x:1" }, "m.lan/a/os:1", "r.io/x:2", false],
  [{ type: "exactRepository", dockerRepository: "r.io/x" }, "m.lan/a/os:1", "r.io/x:2", true],
  [{ type: "exactRepository", dockerRepository: "r.io/x" }, "r.io/y:1", "r.io/y:1", false],
  [remap("m.lan/hub", "r.io"), "m.lan/hub/a/os:1", "r.io/a/os:1", true],
  [remap("m.lan/hub", "r.io"), "m.lan/hub/a/os:1", "r.io/a/os:2", false],
  [remap("m.lan/hub", "r.io"), "m.lan/hub/a/os:1", "m.lan/hub/a/os:1", false],
  [remap("m.lan/hub", "r.io"), "m.lan/hub2/os:1", "m.lan/hub2/os:1", true],
  [remap("m.lan", "r.io/mirror"), "m.lan/os:1", "r.io/mirror/os:1", true],
  [remap("m.lan/a/os", "r.io/os"), `m.lan/a/os@${digest}`, "r.io/os:5", true],
] as const) {
  test(`${JSON.stringify(identity)}: "${signed}" ${wanted ? "counts" : "does not count"} for ${image.slice(0, 30)}`, () => {
    const parsed = parseSignedIdentity(identity, "identity");
    assert.equal(matchesIdentity(parsed, parseImageRef(image), signed), wanted);
  });
}

for (const [value, pattern] of [
  [{ type: "matchAll" }, /it is "matchAll", wanted matchRepoDigestOrExact/],
  [{}, /identity.type/],
  [{ type: "matchExact", prefix: "x" }, /unknown key "prefix"/],
  [{ type: "exactReference" }, /identity.dockerReference/],
  [{ type: "exactReference", dockerReference: "r.io/a" }, /is no full reference/],
  [{ type: "exactRepository", dockerRepository: "A B" }, /is no repository/],
  [remap("r.io/a:1", "r.io"), /is no registry, namespace or repository/],
  [remap("r.io", "https://r.io"), /is no registry, namespace or repository/],
] as const) {
  test(`parseSignedIdentity() rejects ${JSON.stringify(value)}`, () =>
    assert.throws(() => parseSignedIdentity(value, "identity"), pattern));
}

test("describeIdentity() says which name is wanted", () => {
  const describe = (identity: object, image: string): string =>
    describeIdentity(parseSignedIdentity(identity, "identity"), parseImageRef(image));
  assert.equal(describe({ type: "matchRepoDigestOrExact" }, "r.io/os:1"), "r.io/os:1");
  assert.equal(describe({ type: "matchRepoDigestOrExact" }, `r.io/os@${digest}`), "any tag or digest of r.io/os");
  assert.equal(describe({ type: "matchRepository" }, "r.io/os:1"), "the repository r.io/os");
  assert.equal(describe(remap("m.lan", "r.io"), "m.lan/os:1"), "r.io/os:1");
});

test("scopesOf() goes from the image to the domains above its registry", () => {
  assert.deepEqual(scopesOf(parseImageRef("reg.a.io:5000/team/os:1")), [
    "reg.a.io:5000/team/os:1",
    "reg.a.io:5000/team/os",
    "reg.a.io:5000/team",
    "reg.a.io:5000",
    "*.a.io:5000",
    "*.io:5000",
  ]);
  assert.deepEqual(scopesOf(parseImageRef(`docker.io/debian@${digest}`)).slice(0, 3), [
    `docker.io/library/debian@${digest}`,
    "docker.io/library/debian",
    "docker.io/library",
  ]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isSbomType, type Packages, parsePackages } from "./sbom.ts";

const spdx = {
  spdxVersion: "SPDX-2.3",
  packages: [
    { SPDXID: "SPDXRef-image", name: "the image" },
    { SPDXID: "SPDXRef-1", name: "openssl", versionInfo: "3.0.15-1" },
    { SPDXID: "SPDXRef-2", name: "kernel", versionInfo: "6.1.119" },
    { SPDXID: "SPDXRef-3", name: "kernel", versionInfo: "6.1.115" },
    { SPDXID: "SPDXRef-4", name: "bare" },
  ],
  relationships: [
    { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-image" },
  ],
};
const cyclonedx = {
  bomFormat: "CycloneDX",
  components: [
    { type: "library", name: "openssl", version: "3.0.15-1" },
    { type: "file", name: "/usr/bin/openssl" },
  ],
};

const parse = (text: string): Packages => parsePackages(Buffer.from(text));

test("parsePackages() reads SPDX: what is described is no package, versions side by side are joined", () => {
  assert.deepEqual(
    [...parse(JSON.stringify(spdx))],
    [
      ["bare", ""],
      ["kernel", "6.1.115, 6.1.119"],
      ["openssl", "3.0.15-1"],
    ],
  );
});

test("parsePackages() reads CycloneDX without its files", () => {
  assert.deepEqual([...parse(JSON.stringify(cyclonedx))], [["openssl", "3.0.15-1"]]);
});

const rejected: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ["no JSON", "nope", /not JSON/],
  ["a list", "[]", /wanted an object/],
  ["another document", "{}", /neither SPDX nor CycloneDX/],
  ["packages that are no list", '{"spdxVersion":"SPDX-2.3","packages":{}}', /SBOM\.packages: it is \{\}/],
  ["a package without a name", '{"spdxVersion":"SPDX-2.3","packages":[{}]}', /SBOM\.packages\[0\]\.name: it is absent/],
  [
    "millions of values",
    `{"spdxVersion":"SPDX-2.3","packages":[${"{},".repeat(1_000_000)}{}]}`,
    /more than 400000 values/,
  ],
  [
    "more packages than any image has",
    JSON.stringify({ bomFormat: "CycloneDX", components: Array.from({ length: 20_001 }, () => ({ name: "a" })) }),
    /more than 20000 packages/,
  ],
  [
    "a version that is no text",
    '{"bomFormat":"CycloneDX","components":[{"name":"a","version":1}]}',
    /components\[0\]\.version: it is 1/,
  ],
];

for (const [what, text, message] of rejected) {
  test(`parsePackages() rejects ${what}`, () => assert.throws(() => parse(text), message));
}

test("isSbomType() knows the types in JSON", () => {
  for (const type of ["application/spdx+json", "text/spdx+json", "application/vnd.cyclonedx+json"])
    assert.ok(isSbomType(type));
  for (const type of [undefined, "text/spdx", "application/vnd.cyclonedx+xml", "application/json"])
    assert.ok(!isSbomType(type));
});

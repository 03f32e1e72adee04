import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compareVersions } from "./version.ts";

/** Examples of the specification, oldest first. */
const ORDERED = [
  ["~1", "", "-", "1"],
  [
    "122.1",
    "123~rc1-1",
    "123",
    "123-a",
    "123-a.1",
    "123-1",
    "123-1.1",
    "123^post1",
    "123.a-1",
    "123.1-1",
    "123a-1",
    "124-1",
  ],
  ["1.2.3~rc1", "1.2.3", "1.2.3.4", "1.2.10", "1.10"],
  ["12", "12.1", "13"],
];

test("compareVersions() follows the version format specification", () => {
  for (const group of ORDERED) {
    group.forEach((older, i) => {
      assert.equal(compareVersions(older, older), 0, older);
      for (const newer of group.slice(i + 1)) {
        assert.ok(compareVersions(older, newer) < 0, `${older} < ${newer}`);
        assert.ok(compareVersions(newer, older) > 0, `${newer} > ${older}`);
      }
    });
  }
});

test("compareVersions() takes leading zeros and foreign separators for nothing", () => {
  assert.equal(compareVersions("1.002", "1.2"), 0);
  assert.equal(compareVersions("1_2", "1+2"), 0);
});

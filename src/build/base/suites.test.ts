import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { checkPackageName, findSuite, packagesOf } from "./suites.ts";

test("packagesOf() takes bookworm's kernel from its backports, trixie's from itself", () => {
  assert.ok(packagesOf(findSuite("bookworm"), "generic", []).includes("linux-image-amd64/bookworm-backports"));
  assert.ok(packagesOf(findSuite("trixie"), "cloud", []).includes("linux-image-cloud-amd64"));
});

test("packagesOf() is sorted, without doubles, with what was asked for", () => {
  const packages = packagesOf(findSuite("trixie"), "generic", ["vim", "sudo"]);
  assert.deepEqual(packages, [...new Set(packages)].sort());
  assert.ok(packages.includes("vim"));
});

test("findSuite() rejects a suite that it does not know", () => {
  assert.throws(
    () => findSuite("buzz"),
    (error) => isFailure(error, "usage") && error.message.includes("bookworm, trixie"),
  );
});

test("checkPackageName() takes Debian's names", () => {
  for (const name of ["vim", "g++", "libc6:amd64", "linux-image-amd64/bookworm-backports", "vim=2:9.1-1"])
    assert.equal(checkPackageName(name), name);
  for (const bad of ["", "v", "Vim", "-o=x", "a b", "vim;reboot", "../x"]) {
    assert.throws(
      () => checkPackageName(bad),
      (error) => isFailure(error, "usage"),
      bad,
    );
  }
});

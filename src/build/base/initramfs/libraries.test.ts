import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isFailure } from "../../../core/failure.ts";
import { createFakeHost } from "../../../host/fake.ts";
import { findLibraries, resolveInImage } from "./libraries.ts";

const PROGRAM = readFileSync("/bin/cat");
const LOADER = readFileSync("/usr/sbin/ldconfig");

test("findLibraries() finds libraries and interpreter through links that stay in the image", () => {
  const { files } = createFakeHost({
    files: {
      "/i/usr/bin/tool": PROGRAM,
      "/i/usr/lib/x/libc.so.6": { symlink: "libc-2.so" },
      "/i/usr/lib/x/libc-2.so": LOADER,
      "/i/usr/lib64/ld-linux-x86-64.so.2": { symlink: "/lib/x/ld.so" },
      "/i/usr/lib/x/ld.so": LOADER,
    },
  });
  assert.deepEqual(Object.fromEntries(findLibraries(files, "/i", "usr/bin/tool", ["usr/lib/x"])), {
    "usr/lib64/ld-linux-x86-64.so.2": "/i/usr/lib/x/ld.so",
    "usr/lib/x/libc.so.6": "/i/usr/lib/x/libc-2.so",
  });
});

test("findLibraries() says which library the image lacks", () => {
  const { files } = createFakeHost({
    files: { "/i/usr/bin/tool": PROGRAM, "/i/usr/lib64/ld-linux-x86-64.so.2": LOADER },
  });
  assert.throws(
    () => findLibraries(files, "/i", "usr/bin/tool", ["usr/lib"]),
    (error) => isFailure(error, "not-found") && error.message.includes("libc.so.6"),
  );
  assert.throws(
    () => findLibraries(files, "/i", "usr/bin/none", []),
    (error) => isFailure(error, "not-found"),
  );
});

test("resolveInImage() ends on a circle of links", () => {
  const { files } = createFakeHost({ files: { "/i/a": { symlink: "b" }, "/i/b": { symlink: "a" } } });
  assert.throws(
    () => resolveInImage(files, "/i", "a"),
    (error) => isFailure(error, "corrupt"),
  );
  assert.equal(resolveInImage(files, "/i", "missing"), undefined);
});

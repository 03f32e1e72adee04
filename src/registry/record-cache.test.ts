import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { createRecordCache } from "./record-cache.ts";

const PATH = "/records/tag";
const LONG = "x".repeat(2000);

function open() {
  const host = createFakeHost({ files: { [PATH]: "one" } });
  let reads = 0;
  const readTextIfAny = (path: string): string | undefined => {
    reads += 1;
    return host.files.readTextIfAny(path);
  };
  const read = createRecordCache({ clock: host.clock, files: { ...host.files, readTextIfAny } });
  return { host, read: () => read(PATH), reads: () => reads };
}

test("createRecordCache() reads a file that stays as it is once", () => {
  const { host, read, reads } = open();
  host.clock.advance(5000);
  assert.deepEqual([read(), read(), read()], ["one", "one", "one"]);
  assert.equal(reads(), 1);
});

test("createRecordCache() sees each change that another process makes", () => {
  const { host, read } = open();
  host.clock.advance(5000);
  assert.equal(read(), "one");
  host.files.replace(PATH, "two");
  assert.equal(read(), "two", "replaced, with the same length");
  host.clock.advance(5000);
  assert.equal(read(), "two");
  host.files.write(PATH, "six");
  assert.equal(read(), "six", "written in place");
  host.files.remove(PATH);
  assert.equal(read(), undefined);
  host.files.replace(PATH, "one");
  assert.equal(read(), "one");
});

test("createRecordCache() does not keep what may change again within the same tick of the file's clock, nor what is long", () => {
  const { host, read, reads } = open();
  host.files.write(PATH, "two");
  assert.equal(read(), "two");
  host.files.write(PATH, "six");
  assert.equal(read(), "six", "same inode, size and time");
  assert.equal(reads(), 2);
  host.files.write(PATH, LONG);
  host.clock.advance(5000);
  assert.deepEqual([read(), read()], [LONG, LONG]);
  assert.equal(reads(), 4);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { LOOK_MS } from "../host/file-version.ts";
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
  let looks = 0;
  const version: typeof host.files.version = (path) => {
    looks += 1;
    return host.files.version(path);
  };
  const cache = createRecordCache({ clock: host.clock, files: { ...host.files, readTextIfAny, version } });
  const later = (): string | undefined => {
    host.clock.advance(LOOK_MS);
    return cache.read(PATH);
  };
  return { host, cache, read: () => cache.read(PATH), later, reads: () => reads, looks: () => looks };
}

test("createRecordCache() reads a file that stays as it is once", () => {
  const { host, read, reads } = open();
  host.clock.advance(5000);
  assert.deepEqual([read(), read(), read()], ["one", "one", "one"]);
  assert.equal(reads(), 1);
});

test("createRecordCache() sees each change that another process makes, a moment later", () => {
  const { host, read, later } = open();
  host.clock.advance(5000);
  assert.equal(read(), "one");
  host.files.replace(PATH, "two");
  assert.equal(later(), "two", "replaced, with the same length");
  host.clock.advance(5000);
  assert.equal(read(), "two");
  host.files.write(PATH, "six");
  assert.equal(later(), "six", "written in place");
  host.files.remove(PATH);
  assert.equal(later(), undefined);
  host.files.replace(PATH, "one");
  assert.equal(read(), "one", "what was not there is looked for each time");
});

test("createRecordCache() looks at a file once for what is asked at the same moment, and again once it is forgotten", () => {
  const { host, cache, read, later, looks } = open();
  host.clock.advance(5000);
  assert.deepEqual([read(), read(), read(), looks()], ["one", "one", "one", 1]);
  assert.deepEqual([later(), looks()], ["one", 2]);
  cache.forget(PATH);
  host.files.replace(PATH, "two");
  assert.deepEqual([read(), looks()], ["two", 3]);
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

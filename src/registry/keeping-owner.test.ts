import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { createLinuxHost } from "../host/linux.ts";
import { keepingOwner } from "./keeping-owner.ts";

test("keepingOwner() gives what root makes to the owner of the folder that it is in, also below folders that are new", () => {
  const host = createFakeHost();
  host.files.makeDirectory("/srv/registry");
  host.files.chown("/srv/registry", 7, 8);
  const files = keepingOwner(host);
  files.makeDirectory("/srv/registry/data/blobs");
  files.write("/srv/registry/data/a", "x");
  files.replace("/srv/registry/users", "x");
  for (const path of ["data", "data/blobs", "data/a", "users"]) {
    const stat = host.files.stat(`/srv/registry/${path}`);
    assert.deepEqual([stat?.uid, stat?.gid], [7, 8], path);
  }
  host.files.chown("/srv/registry/users", 9, 9);
  files.replace("/srv/registry/users", "y");
  assert.equal(host.files.stat("/srv/registry/users")?.uid, 9, "what is there keeps its own");
});

test("keepingOwner() takes a path that is relative to where it was started", () => {
  const real = createLinuxHost();
  using directory = real.files.temporaryDirectory("/tmp/berth-owner-test-");
  const before = process.cwd();
  process.chdir(directory.path);
  try {
    const files = keepingOwner({ ...real, user: { uid: 0, gid: 0 } });
    files.makeDirectory("registry/data");
    files.write("plain", "x");
    assert.deepEqual([files.exists("registry/data"), files.readText("plain")], [true, "x"]);
  } finally {
    process.chdir(before);
  }
});

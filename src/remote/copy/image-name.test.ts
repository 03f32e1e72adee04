import assert from "node:assert/strict";
import { test } from "node:test";
import { parseImageRef } from "../../oci/reference.ts";
import { parseImageName } from "./image-name.ts";

const NAMES = [
  ["docker://quay.io/x/y:1", { kind: "docker", ref: parseImageRef("quay.io/x/y:1") }],
  ["oci:/srv/os", { kind: "oci", path: "/srv/os", ref: undefined }],
  ["oci:/srv/os:team/os:v1", { kind: "oci", path: "/srv/os", ref: "team/os:v1" }],
  ["oci-archive:os.tar:v1", { kind: "oci-archive", path: "os.tar", ref: "v1" }],
  ["docker-archive:os.tar:web:1", { kind: "docker-archive", path: "os.tar", ref: "docker.io/library/web:1" }],
  ["docker-archive:os.tar:q.io/web", { kind: "docker-archive", path: "os.tar", ref: "q.io/web:latest" }],
  ["dir:/srv/a:b", { kind: "dir", path: "/srv/a:b", ref: undefined }],
  ["containers-storage:localhost/x:1", { kind: "containers-storage", name: "localhost/x:1" }],
  ["berth:os:1", { kind: "berth", name: "os:1" }],
  ["localhost/os:1", { kind: "berth", name: "localhost/os:1" }],
] as const;
for (const [text, wanted] of NAMES) {
  test(`parseImageName() reads ${text}`, () => assert.deepEqual(parseImageName(text), wanted));
}

for (const text of [
  "",
  "docker:x/y",
  "docker://x",
  "oci:",
  "oci::v1",
  "oci:dir:",
  "dir:",
  "berth:",
  "containers-storage:",
]) {
  test(`parseImageName() refuses ${JSON.stringify(text)}`, () =>
    assert.throws(() => parseImageName(text), SyntaxError));
}

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "./fake.ts";
import type { Host } from "./host.ts";
import { createLinuxHost } from "./linux.ts";

const MIB = 1 << 20;
const linux = createLinuxHost();

for (const { name, host } of [
  { name: "linux", host: linux },
  { name: "fake", host: createFakeHost() },
] satisfies { name: string; host: Host }[]) {
  for (const sizeBytes of [0, 1, MIB, 5 * MIB + 3]) {
    test(`[${name}] the digest of ${sizeBytes} bytes is that of the file, by either algorithm`, async () => {
      using directory = host.files.temporaryDirectory("digester");
      const path = `${directory.path}/file`;
      const bytes = randomBytes(sizeBytes);
      host.files.write(path, bytes);
      for (const algorithm of ["sha256", "sha512"] as const) {
        using digester = host.files.openDigester(path, algorithm);
        assert.equal(await digester.digest(sizeBytes), digestOf(bytes, algorithm));
      }
    });
  }

  test(`[${name}] a file is hashed while it grows, up to where it is asked for`, async () => {
    using directory = host.files.temporaryDirectory("digester");
    const path = `${directory.path}/file`;
    using digester = host.files.openDigester(path, "sha256");
    using file = host.files.open(path, "create");
    const bytes = randomBytes(6 * MIB);
    for (let at = 0; at < bytes.length; at += MIB / 2) {
      file.write(bytes.subarray(at, at + MIB / 2), at);
      digester.grown(at + MIB / 2);
    }
    file.write(Buffer.from("not told"), bytes.length);
    assert.equal(await digester.digest(bytes.length), digestOf(bytes));
    // A second question reads the file again.
    assert.equal(await digester.digest(MIB), digestOf(bytes.subarray(0, MIB)));
  });

  test(`[${name}] a file that is not there is a Failure "not-found"`, async () => {
    using directory = host.files.temporaryDirectory("digester");
    for (const sizeBytes of [1, 2 * MIB]) {
      using digester = host.files.openDigester(`${directory.path}/none`, "sha256");
      digester.grown(sizeBytes);
      await assert.rejects(digester.digest(sizeBytes), (error) => isFailure(error, "not-found"));
    }
  });
}

test("many files are hashed side by side, and one that is given up leaves the others alone", async () => {
  using directory = linux.files.temporaryDirectory("digester");
  const files = Array.from({ length: 8 }, (_, i) => ({
    path: `${directory.path}/${i}`,
    bytes: randomBytes(2 * MIB + i),
  }));
  const digesters = files.map(({ path, bytes }) => {
    writeFileSync(path, bytes.subarray(0, MIB));
    const digester = linux.files.openDigester(path, "sha256");
    digester.grown(MIB);
    appendFileSync(path, bytes.subarray(MIB));
    return digester;
  });
  digesters.shift()?.[Symbol.dispose]();
  const [, ...rest] = files;
  const answers = await Promise.all(digesters.map((digester, i) => digester.digest(rest[i]?.bytes.length ?? 0)));
  assert.deepEqual(
    answers,
    rest.map(({ bytes }) => digestOf(bytes)),
  );
});

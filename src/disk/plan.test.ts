import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { describeStep, formatDiskPlan } from "./format-plan.ts";
import { buildEpoch, type DiskFacts } from "./image-facts.ts";
import { planDisk } from "./plan.ts";
import type { DiskRequest } from "./request.ts";

const GIB = 2 ** 30;
const facts: DiskFacts = {
  id: "ab".repeat(64),
  architecture: "amd64",
  kernelVersion: "6.12.0-1-amd64",
  kargs: [],
  loader: {
    from: "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    name: "systemd-bootx64.efi",
    fallbackName: "BOOTX64.EFI",
  },
  grub: { origin: "image", version: "2.06" },
  shell: "/bin/bash",
  accounts: {
    passwd: "root:x:0:0::/root:/bin/sh\n",
    group: "root:x:0:\nsudo:x:27:\n",
    shadow: "root:*:::::::\n",
    gshadow: undefined,
  },
  objectCount: 12000,
  objectBytes: 450 * 2 ** 20,
  espBytes: 60 * 2 ** 20,
  epoch: 1_767_323_045,
};
const request: DiskRequest = {
  type: "raw",
  sizeBytes: 10 * GIB,
  kargs: ["console=ttyS0"],
  rootAuthorizedKeys: "KEY\n",
  users: [{ name: "ann", groups: ["sudo"], authorizedKeys: "" }],
  hostname: "web",
  source: "registry.example.com/os:12",
  uuid: undefined,
};

const WANT = `\
Image:   os
Id:      ${"ab".repeat(64)}
Kernel:  6.12.0-1-amd64 (amd64)
Follows: registry.example.com/os:12
Disk:    10.0 GiB, GPT <uuid>, root UUID <uuid>
  1  BIOS-BOOT       1 MiB  at 1 MiB
  2  EFI-SYSTEM    512 MiB  at 2 MiB
  3  root          9.5 GiB  at 514 MiB
Space:   up to 707 MiB beside the result, 188 MiB beside the store while it is made
Steps:
   1. Copy the image into the machine's repository
   2. Write the deployment: /etc, /var, kernel, boot entry with root=UUID=<uuid> rw console=ttyS0
   3. Add machine state: host name web, root's SSH keys, user ann
   4. Add systemd-boot from the image (usr/lib/systemd/boot/efi/systemd-bootx64.efi)
   5. Create the disk and its partition table
   6. Write the EFI system partition
   7. Write the root file system, 12000 objects with fs-verity
   8. Write GRUB 2.06 for BIOS (modules of the image)
   9. Put disk.raw in its place
`;

test("planDisk() makes the plan that --dry-run shows", () => {
  const text = formatDiskPlan(planDisk("os", request, facts));
  assert.equal(text.replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uuid>"), WANT);
});

test("planDisk() converts for qcow2, and leaves out what nobody asked for", () => {
  const plan = planDisk(
    "os",
    { ...request, type: "qcow2", users: [], hostname: undefined, rootAuthorizedKeys: "" },
    { ...facts, grub: undefined },
  );
  assert.deepEqual(
    plan.steps.map((step) => step.kind),
    [
      "stage-repository",
      "install-deployment",
      "stage-uefi-loader",
      "create-disk",
      "write-esp",
      "write-root",
      "convert",
      "publish",
    ],
  );
  assert.equal(describeStep(plan.steps.at(-1) ?? { kind: "create-disk" }), "Put disk.qcow2 in its place");
  assert.match(plan.notes.join("\n"), /nobody can log in[\s\S]*UEFI only/);
});

test("planDisk() gives equal requests equal ids, whatever the type, and others other ids", () => {
  const root = (changes: Partial<DiskRequest>): string =>
    planDisk("os", { ...request, ...changes }, facts).layout.root.uuid;
  assert.equal(root({}), root({}));
  assert.equal(root({ type: "qcow2" }), root({}));
  for (const changes of [
    { hostname: "web2" },
    { uuid: "x" },
    { kargs: [] },
    { source: "registry.example.com/os:13" },
    { sizeBytes: 11 * GIB },
  ]) {
    assert.notEqual(root(changes), root({}), JSON.stringify(changes));
  }
});

test("planDisk() warns of a source that no machine can reach", () => {
  assert.match(
    planDisk("os", { ...request, source: "localhost/os:1" }, facts).notes.join("\n"),
    /localhost\/os:1, which no machine can reach/,
  );
});

const bad: readonly (readonly [string, Partial<DiskRequest>, Partial<DiskFacts>, string])[] = [
  ["a disk too small", { sizeBytes: GIB }, {}, "no-space"],
  ["a kernel too large", {}, { espBytes: 200 * 2 ** 20 }, "bad-input"],
  ["a group that is not there", { users: [{ name: "ann", groups: ["wheel"], authorizedKeys: "" }] }, {}, "not-found"],
  [
    "a user twice",
    {
      users: [
        { name: "ann", groups: [], authorizedKeys: "" },
        { name: "ann", groups: [], authorizedKeys: "" },
      ],
    },
    {},
    "conflict",
  ],
  ["a user without accounts", {}, { accounts: undefined }, "bad-input"],
  ["an unknown architecture", {}, { architecture: "riscv64" }, "unsupported"],
];
for (const [what, changes, otherFacts, code] of bad) {
  test(`planDisk() rejects ${what}`, () => {
    assert.throws(
      () => planDisk("os", { ...request, ...changes }, { ...facts, ...otherFacts }),
      (error) => isFailure(error) && error.code === code,
    );
  });
}

test("buildEpoch() prefers SOURCE_DATE_EPOCH, then the image's time, and never goes before FAT's first year", () => {
  assert.equal(buildEpoch("1700000000", "2026-01-02T03:04:05Z"), 1_700_000_000);
  assert.equal(buildEpoch(undefined, "2026-01-02T03:04:05.9Z"), 1_767_323_045);
  assert.equal(buildEpoch("", undefined), 315_532_800);
  assert.equal(buildEpoch("0", undefined), 315_532_800);
  assert.equal(buildEpoch(undefined, "not a date"), 315_532_800);
  assert.throws(
    () => buildEpoch("-1", undefined),
    (error) => isFailure(error, "usage"),
  );
  assert.throws(
    () => buildEpoch("now", undefined),
    (error) => isFailure(error, "usage"),
  );
});

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { type BlsEntry, compareEntries, formatBlsEntry, type NamedEntry, parseBlsEntry, triesLeft } from "./bls.ts";

const TEXT = `title Debian GNU/Linux 12 (bookworm)
version 12
linux /EFI/Linux/bootc_composefs-aa/vmlinuz
initrd /EFI/Linux/bootc_composefs-aa/initrd
options root=UUID=1 rw composefs=aa
sort-key bootc-debian-0
`;

test("parseBlsEntry() and formatBlsEntry() give back the same text", () => {
  assert.equal(formatBlsEntry(parseBlsEntry(TEXT)), TEXT);
});

test("parseBlsEntry() keeps unknown keys, joins options, skips comments", () => {
  const entry = parseBlsEntry("# a\n\nlinux /a\ninitrd /b\ninitrd /c\noptions x\noptions y z\nuki /EFI/x.efi\n");
  assert.deepEqual(entry.initrd, ["/b", "/c"]);
  assert.equal(entry.options, "x y z");
  assert.deepEqual(entry.extras, [["uki", "/EFI/x.efi"]]);
  assert.equal(entry.title, undefined);
});

test("parseBlsEntry() rejects a key without a value", () => {
  assert.throws(() => parseBlsEntry("title x\ngarbage\n"), /line 2: "garbage"/);
});

const entry = (name: string, fields: Partial<BlsEntry>): NamedEntry => ({
  name,
  entry: {
    title: undefined,
    version: undefined,
    machineId: undefined,
    sortKey: undefined,
    linux: "/k",
    initrd: [],
    options: "",
    extras: [],
    ...fields,
  },
});

test("compareEntries() sorts as systemd-boot does", () => {
  const menu = [
    entry("plain-2.conf", {}),
    entry("plain-10.conf", {}),
    entry("old.conf", { sortKey: "bootc-debian-1", version: "12" }),
    entry("newer.conf", { sortKey: "bootc-debian-1", version: "13" }),
    entry("first.conf", { sortKey: "bootc-debian-0", version: "11" }),
    entry("bad+0-3.conf", { sortKey: "aaa" }),
    entry("counted+3.conf", { sortKey: "bootc-debian-00" }),
  ];
  const names = menu.sort(compareEntries).map(({ name }) => name);
  assert.deepEqual(names, [
    "first.conf",
    "counted+3.conf",
    "newer.conf",
    "old.conf",
    "plain-10.conf",
    "plain-2.conf",
    "bad+0-3.conf",
  ]);
});

test("triesLeft() reads the boot counter in a name", () => {
  assert.equal(triesLeft("a+3.conf"), 3);
  assert.equal(triesLeft("a+0-3.conf"), 0);
  assert.equal(triesLeft("a.conf"), undefined);
});

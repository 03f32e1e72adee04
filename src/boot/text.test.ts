import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { NamedEntry } from "./bls.ts";
import { bootDirectoryName, entryFileName, isBootDirectoryName, sortKey } from "./entry-name.ts";
import { formatGrubConfig } from "./grub.ts";
import { formatLoaderConf } from "./loader-conf.ts";
import { osId, osTitle, osVersion, parseOsRelease } from "./os-release.ts";

test("parseOsRelease() takes quotes away and skips noise", () => {
  const release = parseOsRelease(
    `# c\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID='12'\nX="a \\"b\\" \\$c"\nnonsense\n`,
  );
  assert.equal(osTitle(release), "Debian GNU/Linux 12 (bookworm)");
  assert.equal(osId(release), "debian");
  assert.equal(osVersion(release), "12");
  assert.equal(release["X"], 'a "b" $c');
  assert.equal(osId({}), "bootc");
  assert.equal(osVersion({ VERSION: "13 (trixie)" }), "13 (trixie)");
  const empty = parseOsRelease('PRETTY_NAME=""\nNAME=Debian\nID=\nVERSION_ID=" "\nVERSION=sid\n');
  assert.deepEqual([osTitle(empty), osId(empty), osVersion(empty)], ["Debian", "bootc", "sid"]);
});

test("entryFileName() is name-version-release without other hyphens", () => {
  const release = { ID: "opensuse-tumbleweed", VERSION_ID: "2026-01 a/b" };
  assert.equal(entryFileName(release, "f".repeat(128), "primary"), "bootc_opensuse_tumbleweed-2026_01_a_b-1.conf");
  assert.equal(entryFileName({ ID: "debian" }, "f".repeat(4), "secondary"), "bootc_debian-ffff-0.conf");
  assert.equal(sortKey("debian", "primary"), "bootc-debian-0");
  assert.equal(sortKey("debian", "secondary"), "bootc-debian-1");
  assert.ok(isBootDirectoryName(bootDirectoryName("a".repeat(128))));
  assert.ok(!isBootDirectoryName("debian"));
});

test("formatLoaderConf() writes timeout and default", () => {
  assert.equal(formatLoaderConf({ timeoutSeconds: 0 }), "timeout 0\n");
  assert.equal(formatLoaderConf({ timeoutSeconds: 5, default: "a*" }), "timeout 5\ndefault a*\n");
});

const MENU: NamedEntry[] = [
  {
    name: "bootc_debian-13-1.conf",
    entry: {
      title: 'Debian\'s "13"',
      version: "13",
      machineId: undefined,
      sortKey: "bootc-debian-0",
      linux: "/EFI/Linux/bootc_composefs-aa/vmlinuz",
      initrd: ["/EFI/Linux/bootc_composefs-aa/initrd"],
      options: 'root=UUID=1 rw composefs=?aa dyndbg="file a +p; file b" x=$(y)',
      extras: [],
    },
  },
  {
    name: "uki.conf",
    entry: {
      title: "UKI",
      version: "1",
      machineId: undefined,
      sortKey: undefined,
      linux: undefined,
      initrd: [],
      options: "",
      extras: [],
    },
  },
];

test("formatGrubConfig() writes kernels, in order, the first as default", () => {
  const text = formatGrubConfig(MENU);
  assert.equal(
    text,
    [
      "set default=0",
      "set timeout=1",
      'set esp="$root"',
      `menuentry 'Debian'\\''s "13"' --id 'bootc_debian-13-1' {`,
      `  search --no-floppy --file --set=root --hint="$esp" '/EFI/Linux/bootc_composefs-aa/vmlinuz'`,
      `  linux '/EFI/Linux/bootc_composefs-aa/vmlinuz' root=UUID=1 rw 'composefs=?aa' 'dyndbg=file a +p; file b' 'x=$(y)'`,
      "  initrd '/EFI/Linux/bootc_composefs-aa/initrd'",
      "}",
      "",
    ].join("\n"),
  );
});

test("GRUB's own checker accepts the generated file", () => {
  const checked = spawnSync("grub-script-check", { input: formatGrubConfig(MENU), encoding: "utf8" });
  assert.equal(checked.status, 0, checked.stderr);
});

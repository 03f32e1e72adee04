import assert from "node:assert/strict";
import { test } from "node:test";
import { grubVersion, mkimageArgv, placeBiosLoader } from "./grub-bios.ts";

const biosBoot = { offsetBytes: 2 ** 20, sizeBytes: 2 ** 20 };

test("placeBiosLoader() patches the boot sector and the block list, and leaves the partition table alone", () => {
  const [boot, core] = placeBiosLoader(
    { bootImage: Buffer.alloc(512, 0xcc), coreImage: Buffer.alloc(512 * 3 + 1, 0xdd) },
    biosBoot,
  );
  assert.equal(boot?.offsetBytes, 0);
  assert.equal(boot?.bytes.length, 440);
  assert.equal(boot?.bytes.readBigUInt64LE(0x5c), 2048n);
  assert.equal(boot?.bytes.readUInt16LE(0x66), 0x9090);
  assert.equal(core?.offsetBytes, 2 ** 20);
  assert.equal(core?.bytes.readBigUInt64LE(500), 2049n);
  assert.equal(core?.bytes.readUInt16LE(508), 3);
  assert.equal(core?.bytes.readUInt16LE(510), 0x820);
});

test("placeBiosLoader() rejects images of impossible sizes", () => {
  assert.throws(
    () => placeBiosLoader({ bootImage: Buffer.alloc(511), coreImage: Buffer.alloc(1024) }, biosBoot),
    RangeError,
  );
  assert.throws(
    () => placeBiosLoader({ bootImage: Buffer.alloc(512), coreImage: Buffer.alloc(512) }, biosBoot),
    RangeError,
  );
  assert.throws(
    () => placeBiosLoader({ bootImage: Buffer.alloc(512), coreImage: Buffer.alloc(2 ** 20 + 1) }, biosBoot),
    RangeError,
  );
});

test("mkimageArgv() names no disk: GRUB adds the one it booted from", () => {
  const argv = mkimageArgv({ modules: "/m", partition: 2, directory: "/loader/entries", output: "/o" });
  assert.ok(argv.includes("--prefix=(,gpt2)/loader/entries"));
});

test("grubVersion() reads the tool's and the modules' version", () => {
  assert.equal(grubVersion("grub-mkimage (GRUB) 2.06-13+deb12u1\n"), "2.06");
  assert.equal(grubVersion('x=1\ngrub_version="2.12"\n'), "2.12");
  assert.equal(grubVersion("something else"), undefined);
});

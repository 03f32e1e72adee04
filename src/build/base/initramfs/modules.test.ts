import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../../core/failure.ts";
import { formatSubset, moduleName, parseModuleIndex, resolveModules } from "./modules.ts";

const index = parseModuleIndex({
  dep: `kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.xz:
kernel/drivers/nvme/host/nvme.ko: kernel/drivers/nvme/host/nvme-core.ko kernel/drivers/nvme/common/nvme-auth.ko
kernel/drivers/nvme/host/nvme-core.ko: kernel/drivers/nvme/common/nvme-auth.ko
kernel/drivers/nvme/common/nvme-auth.ko:
kernel/drivers/usb/storage/usb-storage.ko.zst:
kernel/fs/erofs/erofs.ko:
`,
  builtin: "kernel/drivers/virtio/virtio_pci.ko\n",
  softdep: "# none\nsoftdep ext4 pre: crypto-crc32c post: other\nsoftdep usb_storage post: uas\n",
  alias:
    "alias crypto-crc32c crc32c_generic\nalias crypto-crc32c crc32c_intel\nalias pci:v*d*sv*sd*bc01sc08i02* nvme\nalias fs-erofs erofs\n",
});

test("resolveModules() puts each module after all that it needs", () => {
  assert.deepEqual(resolveModules(index, { required: ["ext4"], optional: ["nvme"] }).map(moduleName), [
    "crc32c_generic",
    "crc32c_intel",
    "mbcache",
    "crc16",
    "jbd2",
    "ext4",
    "nvme_auth",
    "nvme_core",
    "nvme",
  ]);
});

test("resolveModules() takes names with - and with _, once each", () => {
  assert.deepEqual(resolveModules(index, { required: ["usb-storage"], optional: ["usb_storage"] }), [
    "kernel/drivers/usb/storage/usb-storage.ko.zst",
  ]);
});

test("resolveModules() leaves out what is built in and what is optional and missing", () => {
  assert.deepEqual(resolveModules(index, { required: ["virtio_pci"], optional: ["btrfs"] }), []);
});

test("resolveModules() refuses a kernel that lacks a required module", () => {
  assert.throws(
    () => resolveModules(index, { required: ["overlay"], optional: [] }),
    (error) => isFailure(error, "unsupported") && error.message.includes('"overlay"'),
  );
});

test("resolveModules() ends on a circle of soft dependencies", () => {
  const circle = parseModuleIndex({
    dep: "a.ko:\nb.ko:\n",
    builtin: "",
    softdep: "softdep a pre: b\nsoftdep b pre: a\n",
    alias: "",
  });
  assert.deepEqual(resolveModules(circle, { required: ["a"], optional: [] }), ["b.ko", "a.ko"]);
});

test("formatSubset() keeps the lines of the chosen modules, without compression", () => {
  assert.deepEqual(formatSubset(index, resolveModules(index, { required: ["erofs", "nvme"], optional: [] })), {
    dep: `kernel/fs/erofs/erofs.ko:
kernel/drivers/nvme/common/nvme-auth.ko:
kernel/drivers/nvme/host/nvme-core.ko: kernel/drivers/nvme/common/nvme-auth.ko
kernel/drivers/nvme/host/nvme.ko: kernel/drivers/nvme/host/nvme-core.ko kernel/drivers/nvme/common/nvme-auth.ko
`,
    alias: "alias pci:v*d*sv*sd*bc01sc08i02* nvme\nalias fs-erofs erofs\n",
  });
});

test("parseModuleIndex() rejects a modules.dep line without a colon", () => {
  assert.throws(() => parseModuleIndex({ dep: "kernel/a.ko\n", builtin: "", softdep: "", alias: "" }), SyntaxError);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../../core/bytes.ts";
import { writeTar } from "../../format/tar/write.ts";
import { createFakeHost } from "../../host/fake.ts";
import { readLayers } from "./layer-files.ts";

const EPOCH = 1_700_000_000;

function makeHost(now: number): ReturnType<typeof createFakeHost> {
  const host = createFakeHost({
    now,
    files: {
      "/r/etc/passwd": { content: "root", mode: 0o644 },
      "/r/usr/bin/perl": { content: "perl", mode: 0o755 },
      "/r/usr/lib/modules/6.12/vmlinuz": "kernel",
      "/r/usr/lib/modules/6.12/kernel/a.ko": "module",
    },
  });
  host.files.link("/r/usr/bin/perl", "/r/usr/bin/perl5.36");
  host.files.symlink("usr/bin", "/r/bin");
  host.files.setTimes("/r/etc/passwd", EPOCH - 5, 0);
  return host;
}

const paths = (layer: Iterable<{ member: { path: string } }>): string[] => [...layer].map(({ member }) => member.path);

test("readLayers() keeps the kernel apart and each path in one layer", () => {
  const layers = readLayers(makeHost(Date.now()).files, "/r", EPOCH);
  assert.deepEqual(paths(layers.packages), [
    "",
    "bin",
    "etc",
    "etc/passwd",
    "usr",
    "usr/bin",
    "usr/bin/perl",
    "usr/bin/perl5.36",
    "usr/lib",
    "usr/lib/modules",
  ]);
  assert.deepEqual(paths(layers.kernel), [
    "usr/lib/modules/6.12",
    "usr/lib/modules/6.12/kernel",
    "usr/lib/modules/6.12/kernel/a.ko",
    "usr/lib/modules/6.12/vmlinuz",
  ]);
});

test("readLayers() keeps hard links, old times of files, and no time after the epoch", () => {
  const members = [...readLayers(makeHost(Date.now()).files, "/r", EPOCH).packages].map(({ member }) => member);
  const link = members.find((member) => member.path === "usr/bin/perl5.36");
  assert.ok(link?.kind === "hardlink" && link.target === "usr/bin/perl");
  assert.equal(members.find((member) => member.path === "etc/passwd")?.stat.mtimeSec, EPOCH - 5);
  for (const member of members) assert.ok(member.stat.mtimeSec <= EPOCH, member.path);
});

test("readLayers() gives the same bytes whenever the tree was made", async () => {
  const tar = (now: number): Promise<Buffer> =>
    collectBytes(writeTar(readLayers(makeHost(now).files, "/r", EPOCH).packages));
  assert.ok((await tar(Date.UTC(2026, 1, 1))).equals(await tar(Date.UTC(2027, 5, 5))));
});

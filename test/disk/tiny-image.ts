/**
 * A small image that has everything which makes an image bootable in form (kernel, initramfs, loader, accounts), for tests of disks
 * that are looked at but not booted.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { streamOf } from "../../src/core/bytes.ts";
import { digestOf } from "../../src/core/digest.ts";
import { CONFIG, MANIFEST } from "../../src/oci/media-types.ts";
import type { Store, StoredImage } from "../../src/store/store.ts";

export interface TinyImageOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Path to text, over the usual files; undefined leaves a file out. */
  readonly files?: Readonly<Record<string, string | undefined>>;
}

const TEXT: Readonly<Record<string, string>> = {
  "usr/lib/os-release":
    'ID=tiny\nVERSION_ID=1\nPRETTY_NAME="Tiny OS 1, made for the tests of berth and nothing else"\n',
  "usr/lib/modules/6.1.0-tiny/vmlinuz": "kernel ".repeat(50_000),
  "usr/lib/modules/6.1.0-tiny/initramfs.img": "initramfs ".repeat(70_000),
  "usr/lib/systemd/boot/efi/systemd-bootx64.efi": "systemd-boot ".repeat(1000),
  "usr/bin/bash": "#!/bin/sh\n".repeat(20),
  "usr/share/big": "0123456789abcdef".repeat(300_000),
  "usr/share/a name with blanks": "y".repeat(5000),
  'etc/ssl/NetLock_Főtanúsítvány "=".pem': "z".repeat(100),
  "usr/share/empty": "",
  "usr/share/small": "inline",
  "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
  "etc/group": "root:x:0:\nsudo:x:27:\n",
  "etc/shadow": "root:*:19000:0:99999:7:::\n",
  "etc/gshadow": "root:*::\nsudo:*::\n",
  "etc/sudoers.d/README": "# rules\n",
  "etc/skel/.bashrc": "# a line that is longer than sixty-four bytes, so that it becomes an object\n",
  "etc/machine-id": "",
};
const DIRECTORIES = [
  "boot",
  "run",
  "sysroot",
  "tmp",
  "dev",
  "proc",
  "sys",
  "var/home",
  "var/roothome",
  "var/lib/thing",
];

/** Adds the image to the store under the name `localhost/tiny:1`. */
export async function addTinyImage(store: Store, options: TinyImageOptions = {}): Promise<StoredImage> {
  const { descriptor, diffId } = await store.addLayer(streamOf(tinyTar(options.files ?? {})));
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      created: "2026-01-02T03:04:05Z",
      config: { Labels: options.labels ?? { "containers.bootc": "1" } },
      rootfs: { type: "layers", diff_ids: [diffId] },
      history: [],
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, digest: digestOf(config), size: config.length },
      layers: [descriptor],
    }),
  );
  const image = store.saveImage({ manifestBytes: manifest, configBytes: config });
  store.tag("localhost/tiny:1", image.digest);
  return store.image("localhost/tiny:1") ?? image;
}

function tinyTar(files: Readonly<Record<string, string | undefined>>): Buffer {
  const root = mkdtempSync(join(tmpdir(), "tiny-"));
  try {
    for (const directory of DIRECTORIES) mkdirSync(join(root, directory), { recursive: true });
    for (const [path, text] of Object.entries({ ...TEXT, ...files })) {
      if (text === undefined) continue;
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    chmodSync(join(root, "var/roothome"), 0o700);
    truncateSync(join(root, "usr/share/big"), 6_000_001);
    symlinkSync("var/home", join(root, "home"));
    symlinkSync("var/roothome", join(root, "root"));
    const options = ["--sort=name", "--mtime=@1700000000", "--owner=0", "--group=0", "--numeric-owner", "--format=pax"];
    return execFileSync("tar", [...options, "--pax-option=delete=atime,delete=ctime", "-C", root, "-cf", "-", "."], {
      maxBuffer: 2 ** 28,
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** The Debian suites that a base image can be made of, and the packages that go into it. */
import { Failure } from "../../core/failure.ts";

export type KernelFlavour = "generic" | "cloud";

export interface Suite {
  readonly name: string;
  /** VERSION_ID of its os-release. */
  readonly version: string;
  /** Where its kernel of at least 6.12 comes from: the suite itself, or its backports. */
  readonly kernelSuite: string;
  /** Its packages do not bring the links of a merged /usr: mmdebstrap's hook makes them (the package usrmerge would need Perl). */
  readonly linksByHook: boolean;
}

const SUITES: readonly Suite[] = [
  { name: "bookworm", version: "12", kernelSuite: "bookworm-backports", linksByHook: true },
  { name: "trixie", version: "13", kernelSuite: "trixie", linksByHook: false },
];

export const SUITE_NAMES: readonly string[] = SUITES.map((suite) => suite.name);

export function findSuite(name: string): Suite {
  const suite = SUITES.find((candidate) => candidate.name === name);
  if (suite === undefined) {
    throw new Failure("usage", `Cannot build a base of suite "${name}": wanted one of ${SUITE_NAMES.join(", ")}`);
  }
  return suite;
}

const PACKAGES = [
  // init, network, time, name resolution, sessions
  "systemd systemd-sysv systemd-resolved systemd-timesyncd libnss-resolve libnss-myhostname libpam-systemd",
  "dbus udev kmod netbase iproute2 iputils-ping tzdata",
  // boot: both loaders, and what the initramfs is made of
  "systemd-boot systemd-boot-efi grub-pc-bin busybox-static fsverity",
  // disks
  "e2fsprogs dosfstools fdisk parted util-linux mount",
  // administration: by people, and by Ansible
  "openssh-server sudo python3 ca-certificates procps less nano",
  // what berth itself is linked with, and what applies deltas of kernel modules
  "libatomic1 libstdc++6 libgcc-s1 xz-utils",
].flatMap((line) => line.split(" "));

/** Package names as apt takes them (`name` or `name/suite`), sorted. */
export function packagesOf(suite: Suite, kernel: KernelFlavour, extra: readonly string[]): string[] {
  const image = kernel === "cloud" ? "linux-image-cloud-amd64" : "linux-image-amd64";
  const kernelPackage = suite.kernelSuite === suite.name ? image : `${image}/${suite.kernelSuite}`;
  return [...new Set([...PACKAGES, kernelPackage, ...extra])].sort();
}

/** Throws Failure "usage" for what is no Debian package name (`name`, `name/suite` or `name=version`). */
export function checkPackageName(name: string): string {
  if (!/^[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:[/=][A-Za-z0-9.+:~-]+)?$/.test(name)) {
    throw new Failure("usage", `Cannot install package "${name}": wanted a Debian package name`);
  }
  return name;
}

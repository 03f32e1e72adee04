/**
 * updateTrees(): the root trees that update sizes are measured on, made once with mmdebstrap from the mirror that this machine's apt
 * uses and kept in a cache folder (BENCH_CACHE, else /var/tmp/berth-bench):
 *
 *   OLD   a Debian 12 server as of its last point release: kernel, systemd, ssh, nginx, python3, git, ...
 *   NEW   the same with bookworm-updates and the security archive
 *   FIX   OLD with the openssl fix alone
 *   KERNEL-OLD, KERNEL-NEW   the files of Debian 13's newest kernel package but one, and of the newest: its modules are packed by xz
 *
 * The numbers move with Debian. Needs root; about four minutes the first time.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { findMirror } from "../src/build/base/apt-sources.ts";
import { readHostSources } from "../src/build/base/archive.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { run } from "./_run.ts";

export type TreeName = "OLD" | "NEW" | "FIX" | KernelTree;
type KernelTree = "KERNEL-OLD" | "KERNEL-NEW";

const CACHE = process.env["BENCH_CACHE"] ?? "/var/tmp/berth-bench";
const PACKAGES =
  "linux-image-amd64,systemd-sysv,openssh-server,curl,ca-certificates,sudo,python3,nginx,git,dbus,iproute2,nftables,chrony,less,vim-tiny,openssl";
const ENV = { ...process.env, SOURCE_DATE_EPOCH: "1700000000", DEBIAN_FRONTEND: "noninteractive" };
/** What differs between two installations of the same packages. */
const NOISE = [
  "var/lib/apt/lists",
  "var/cache/apt",
  "var/log",
  "var/cache/ldconfig/aux-cache",
  "var/cache/debconf",
  "var/lib/dpkg/status-old",
  "var/lib/dpkg/diversions-old",
];

/** Absolute path of a tree. */
export function updateTree(name: TreeName): string {
  const directory = path.join(CACHE, name);
  if (existsSync(directory)) return directory;
  console.log(`making ${directory}`);
  mkdirSync(CACHE, { recursive: true });
  const making = `${directory}.making`;
  rmSync(making, { recursive: true, force: true });
  const [main = "", ...updates] = sourceLines("bookworm");
  if (isKernel(name)) unpackKernel(making, name);
  else if (name === "FIX") fixFrom(making, [main, ...updates]);
  else bootstrap(making, name === "OLD" ? [main] : [main, ...updates]);
  for (const noise of NOISE) rmSync(path.join(making, noise), { recursive: true, force: true });
  renameSync(making, directory);
  return directory;
}

function sourceLines(suite: "bookworm" | "trixie"): string[] {
  const mirror = findMirror(readHostSources(createLinuxHost()));
  if (mirror?.security === undefined) throw new Error("this machine's apt has no Debian archive with security updates");
  return [
    `deb ${mirror.archive} ${suite} main`,
    `deb ${mirror.archive} ${suite}-updates main`,
    `deb ${mirror.security} ${suite}-security main`,
  ];
}

function bootstrap(directory: string, sources: readonly string[]): void {
  make([
    "mmdebstrap",
    "--variant=minbase",
    "--mode=root",
    '--aptopt=Acquire::Check-Valid-Until "false"',
    `--include=${PACKAGES}`,
    "bookworm",
    directory,
    ...sources,
  ]);
}

function fixFrom(directory: string, sources: readonly string[]): void {
  make(["cp", "-a", "--reflink=auto", updateTree("OLD"), directory]);
  const list = path.join(directory, "etc/apt/sources.list");
  writeFileSync(list, "");
  for (const line of sources) appendFileSync(list, `${line}\n`);
  copyFileSync("/etc/resolv.conf", path.join(directory, "etc/resolv.conf"));
  const upgrade =
    "apt-get -o Acquire::Check-Valid-Until=false update -qq && apt-get install -y -qq --no-install-recommends --only-upgrade openssl libssl3";
  make(["unshare", "-m", "sh", "-c", `mount -t proc proc "$0/proc"; chroot "$0" sh -c "${upgrade}"`, directory]);
  writeFileSync(list, `${sources[0] ?? ""}\n`);
}

function isKernel(name: TreeName): name is KernelTree {
  return name.startsWith("KERNEL-");
}

/** By an apt of its own, which sees Debian 13 only. */
function unpackKernel(directory: string, name: KernelTree): void {
  const apt = `${directory}.apt`;
  mkdirSync(path.join(apt, "lists/partial"), { recursive: true });
  writeFileSync(path.join(apt, "sources.list"), sourceLines("trixie").join("\n"));
  writeFileSync(path.join(apt, "status"), "");
  const options = [
    ["Dir::Etc::SourceList", path.join(apt, "sources.list")],
    ["Dir::Etc::SourceParts", "/dev/null"],
    ["Dir::State::Lists", path.join(apt, "lists")],
    ["Dir::State::Status", path.join(apt, "status")],
    ["Dir::Cache::pkgcache", ""],
    ["Dir::Cache::srcpkgcache", ""],
    ["APT::Sandbox::User", "root"],
    ["Acquire::Languages", "none"],
  ].flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  make(["apt-get", ...options, "update", "-qq"]);
  const kernels = make(["apt-cache", ...options, "pkgnames", "linux-image-6.12."])
    .split("\n")
    .filter((each) => /^linux-image-[0-9.]+\+deb13(\.[0-9]+)?-amd64$/.test(each))
    .sort((left, right) => left.localeCompare(right, "en", { numeric: true }));
  const kernel = kernels.at(name === "KERNEL-NEW" ? -1 : -2) ?? "";
  console.log(`${name}: ${kernel}`);
  make(["apt-get", ...options, "download", "-qq", kernel], apt);
  const [file = ""] = globSync(`${kernel}_*.deb`, { cwd: apt });
  make(["dpkg-deb", "-x", path.join(apt, file), directory]);
  rmSync(apt, { recursive: true });
}

function make(argv: readonly string[], cwd = "/"): string {
  return run(argv, { cwd, env: ENV });
}

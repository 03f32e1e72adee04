/**
 * applyLayout(): turns an installed root into the tree of an image-mode system: /usr holds all that is versioned, /etc and /var
 * are what a machine keeps, the homes and /usr/local lie in /var, kernels lie with their modules, and nothing is left of the
 * machine or the minute that the tree was made on.
 *
 * @see bootc documentation, "Filesystem"; hier(7); tmpfiles.d(5)
 */
import { Failure } from "../../core/failure.ts";
import type { Files, FileStat } from "../../host/host.ts";
import { programFile, programFiles } from "../../host/program.ts";
import type { AptSettings, Archive } from "./archive.ts";
import { sourceLines } from "./bootstrap.ts";

/** Path of the link, its target, where the content goes, mode of that directory. */
const INTO_VAR = [
  ["home", "var/home", "var/home", 0o755],
  ["root", "var/roothome", "var/roothome", 0o700],
  ["srv", "var/srv", "var/srv", 0o755],
  ["opt", "var/opt", "var/opt", 0o755],
  ["mnt", "var/mnt", "var/mnt", 0o755],
  ["media", "var/media", "var/media", 0o755],
  ["usr/local", "../var/usrlocal", "var/usrlocal", 0o755],
] as const;

const EMPTY_DIRECTORIES = ["boot", "dev", "proc", "run", "sys", "sysroot"] as const;

/** Made by the build, or by a service of the machine that runs: not part of an image. */
const REMOVED = [
  "vmlinuz vmlinuz.old initrd.img initrd.img.old",
  "etc/hostname etc/resolv.conf etc/.resolv.conf.systemd-resolved.bak etc/.pwd.lock etc/mtab",
  "etc/passwd- etc/shadow- etc/group- etc/gshadow- etc/subuid- etc/subgid-",
  "etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap etc/apt/sources.list",
  "var/lib/dbus/machine-id var/lib/systemd/random-seed var/lib/systemd/credential.secret",
  "var/cache/ldconfig/aux-cache var/cache/debconf/config.dat-old var/cache/debconf/templates.dat-old",
  "var/lib/dpkg/status-old var/lib/dpkg/diversions-old var/lib/dpkg/statoverride-old",
  "var/lib/dpkg/lock var/lib/dpkg/lock-frontend var/lib/dpkg/triggers/Lock",
  "var/lib/ucf/hashfile.0 var/lib/ucf/hashfile.1 var/lib/ucf/registry.0 var/lib/ucf/registry.1",
].flatMap((line) => line.split(" "));
const EMPTIED = ["tmp", "var/tmp", "var/cache/apt", "var/lib/apt/lists"] as const;

const TMPFILES = "image-mode.conf";
const DPKG = "usr/lib/dpkg-db";
const FILES_FOLDER = "src/build/base/files";

export interface LayoutOptions {
  readonly archive: Archive;
  readonly settings: AptSettings;
}

/** `root` without a trailing slash. Returns the kernel's version. */
export function applyLayout(files: Files, root: string, options: LayoutOptions): string {
  const kernelVersion = moveKernel(files, root);
  for (const path of REMOVED) files.remove(`${root}/${path}`);
  for (const path of [...EMPTY_DIRECTORIES, ...EMPTIED]) emptyDirectory(files, `${root}/${path}`);
  files.chmod(`${root}/tmp`, 0o1777);
  files.chmod(`${root}/var/tmp`, 0o1777);
  files.makeDirectory(`${root}/var/cache/apt/archives/partial`);
  files.makeDirectory(`${root}/var/lib/apt/lists/partial`);
  for (const name of files.listIfAny(`${root}/etc/ssh`)) {
    if (/^ssh_host_.*_key(?:\.pub)?$/.test(name)) files.remove(`${root}/etc/ssh/${name}`);
  }
  truncateLogs(files, `${root}/var/log`);
  files.remove(`${root}/etc/machine-id`);
  files.write(`${root}/etc/machine-id`, "", { mode: 0o444 });
  for (const [link, target, home, mode] of INTO_VAR) moveIntoVar(files, root, { link, target, home, mode });
  moveDpkg(files, root);
  removeEmptyLibraryLinks(files, root);
  mountTmp(files, root);
  files.symlink("sysroot/ostree", `${root}/ostree`);
  writeAptConfiguration(files, root, options);
  for (const path of programFiles(FILES_FOLDER))
    installFile(files, `${root}${path.slice(FILES_FOLDER.length)}`, programFile(path), 0o644);
  redirectTmpfiles(files, `${root}/usr/lib/tmpfiles.d`);
  installFile(files, `${root}/usr/lib/tmpfiles.d/${TMPFILES}`, formatTmpfiles(files, root), 0o644);
  return kernelVersion;
}

/** The kernel goes beside its modules; the copies under /boot go away with all of it. */
function moveKernel(files: Files, root: string): string {
  const versions = files
    .listIfAny(`${root}/usr/lib/modules`)
    .filter((name) => files.exists(`${root}/boot/vmlinuz-${name}`));
  const version = versions[0];
  if (version === undefined || versions.length > 1) {
    throw new Failure("bad-input", `Cannot make a base of kernels "${versions.join(", ")}": wanted exactly one`);
  }
  const modules = `${root}/usr/lib/modules/${version}`;
  files.rename(`${root}/boot/vmlinuz-${version}`, `${modules}/vmlinuz`);
  files.chmod(`${modules}/vmlinuz`, 0o644);
  for (const name of ["config", "System.map"]) {
    if (files.exists(`${root}/boot/${name}-${version}`))
      files.rename(`${root}/boot/${name}-${version}`, `${modules}/${name}`);
  }
  return version;
}

function emptyDirectory(files: Files, path: string): void {
  files.makeDirectory(path);
  for (const name of files.list(path)) files.remove(`${path}/${name}`);
}

function truncateLogs(files: Files, directory: string): void {
  for (const name of files.listIfAny(directory)) {
    const path = `${directory}/${name}`;
    if (files.lstat(path)?.kind === "directory") truncateLogs(files, path);
    else files.remove(path);
  }
}

function moveIntoVar(
  files: Files,
  root: string,
  move: { link: string; target: string; home: string; mode: number },
): void {
  const from = `${root}/${move.link}`;
  const to = `${root}/${move.home}`;
  const stat = files.lstat(from);
  // Debian has an empty /var/opt already.
  if (files.lstat(to) !== undefined) files.remove(to);
  if (stat?.kind === "directory") files.rename(from, to);
  else files.makeDirectory(to);
  files.chmod(to, move.mode);
  files.chown(to, 0, 0);
  if (stat?.kind === "symlink") files.remove(from);
  files.symlink(move.target, from);
}

/** The root cannot be written, so /tmp must be a file system of its own; where systemd leaves that to the administrator it is set. */
function mountTmp(files: Files, root: string): void {
  const units = `${root}/usr/lib/systemd/system`;
  const spare = `${root}/usr/share/systemd/tmp.mount`;
  if (files.exists(`${units}/tmp.mount`) || !files.exists(spare)) return;
  installFile(files, `${units}/tmp.mount`, files.read(spare), 0o644);
  files.makeDirectory(`${units}/local-fs.target.wants`, { mode: 0o755 });
  files.symlink("../tmp.mount", `${units}/local-fs.target.wants/tmp.mount`);
}

/** Links of a merged /usr for libraries of other word sizes, where there are none. */
function removeEmptyLibraryLinks(files: Files, root: string): void {
  for (const name of ["lib32", "libx32", "libo32"]) {
    if (files.lstat(`${root}/${name}`)?.kind !== "symlink" || files.listIfAny(`${root}/usr/${name}`).length > 0)
      continue;
    files.remove(`${root}/${name}`);
    files.remove(`${root}/usr/${name}`);
  }
}

/** The package database is versioned with /usr; /var/lib/dpkg leads to it. */
function moveDpkg(files: Files, root: string): void {
  files.rename(`${root}/var/lib/dpkg`, `${root}/${DPKG}`);
  files.symlink("../../usr/lib/dpkg-db", `${root}/var/lib/dpkg`);
}

function writeAptConfiguration(files: Files, root: string, options: LayoutOptions): void {
  installFile(files, `${root}/etc/apt/sources.list`, `${sourceLines(options.archive).join("\n")}\n`, 0o644);
  const lines = ['Acquire::Languages "none";', ...options.settings.image];
  installFile(files, `${root}/etc/apt/apt.conf.d/90image`, `${lines.join("\n")}\n`, 0o644);
}

function installFile(files: Files, path: string, content: Uint8Array | string, mode: number): void {
  files.makeDirectory(path.replace(/\/[^/]*$/, ""), { mode: 0o755 });
  files.remove(path);
  files.write(path, content, { mode });
  files.chmod(path, mode);
}

/**
 * Directories and links that a machine's /var must have, as tmpfiles.d lines: /var comes from an image only once, so what a
 * later image needs there must make itself.
 */
export function formatTmpfiles(
  files: Pick<Files, "list" | "listIfAny" | "lstat" | "readlink" | "readText">,
  root: string,
): string {
  const lines = ["# Directories and links of the image's /var, for machines whose /var is older."];
  const stated = statedPaths(files, `${root}/usr/lib/tmpfiles.d`);
  const visit = (path: string): void => {
    for (const name of files.list(`${root}/${path}`)) {
      const child = `${path}/${name}`;
      const stat = files.lstat(`${root}/${child}`);
      if (stat === undefined || SKIPPED.test(child)) continue;
      const isStated = stated.has(`/${child}`);
      if (stat.kind === "symlink" && !isStated)
        lines.push(`L /${quote(child)} - - - - ${files.readlink(`${root}/${child}`)}`);
      if (stat.kind !== "directory") continue;
      if (!isStated) lines.push(`d /${quote(child)} ${mode(stat)} ${stat.uid} ${stat.gid} -`);
      visit(child);
    }
  };
  visit("var");
  return `${lines.join("\n")}\n`;
}

/** Lines of packages for /home, /srv and /root, which are links here, are made to mean what the links lead to. */
function redirectTmpfiles(files: Files, folder: string): void {
  for (const name of files.listIfAny(folder).filter((file) => file.endsWith(".conf"))) {
    const path = `${folder}/${name}`;
    const stat = files.lstat(path);
    if (stat?.kind !== "file") continue;
    const text = files.readText(path);
    const redirected = text.replace(
      /^([a-zA-Z]\S*\s+)\/(home|srv|root)(?=[\s/])/gm,
      (_, start: string, top: string) => `${start}/var/${top === "root" ? "roothome" : top}`,
    );
    if (redirected === text) continue;
    files.write(path, redirected);
    files.setTimes(path, stat.mtimeSec, stat.mtimeNsec);
  }
}

/** Paths that files of packages make already; stating one twice is a warning at every boot. */
function statedPaths(files: Pick<Files, "listIfAny" | "readText">, folder: string): Set<string> {
  const texts = files
    .listIfAny(folder)
    .filter((name) => name.endsWith(".conf") && name !== TMPFILES)
    .map((name) => files.readText(`${folder}/${name}`));
  return new Set(
    texts.flatMap((text) =>
      [...text.matchAll(/^[a-zA-Z][-+!=~^$]*\s+(\/\S+)/gm)].map((match) => (match[1] ?? "").replace(/\/$/, "")),
    ),
  );
}

/** State of package management, of no use on a machine; and what systemd's own files make. */
const SKIPPED =
  /^var\/(?:lib\/systemd\/deb-systemd-|lib\/ucf|lib\/pam|lib\/python|cache\/debconf|run$|lock$|tmp$|log\/journal\/)/;

function mode(stat: FileStat): string {
  return stat.mode.toString(8).padStart(4, "0");
}

function quote(path: string): string {
  return path.replace(/[\s"'\\%]/g, (character) =>
    character === "%" ? "%%" : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

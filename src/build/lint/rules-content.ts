/** Rules about what files say: kernels, kernel arguments, names, users, /var. */
import { parseKargsFile } from "../../boot/kargs-d.ts";
import { compareVersions } from "../../boot/version.ts";
import { byteNameToText } from "../../core/bytes.ts";
import { type LintRoot, listItems, show } from "./lint-root.ts";
import type { LintRule } from "./rule.ts";
import { createTmpfilesIndex, readSysusers } from "./system-config.ts";

const MODULES = "usr/lib/modules";

function kernels(root: LintRoot): string[] {
  return root.list(MODULES).filter((name) => root.lstat(`${MODULES}/${name}/vmlinuz`) !== undefined);
}

export const kernel: LintRule = {
  name: "kernel",
  type: "fatal",
  description: "An image boots one kernel: at most one /usr/lib/modules/*/vmlinuz.",
  check(root) {
    const found = kernels(root);
    return found.length < 2 ? undefined : `Found more than one kernel: ${found.join(" ")}`;
  },
};

export const kernelVersion: LintRule = {
  name: "kernel-version",
  type: "warning",
  description:
    "A verified root needs Linux 6.6 (overlay with data-only layers and verity); mounting the image's file directly needs 6.12.",
  check(root) {
    for (const version of kernels(root)) {
      if (compareVersions(version, "6.6") < 0)
        return `Kernel ${version} is older than 6.6: no data-only overlay layers, so the root can not be verified`;
      if (compareVersions(version, "6.12") < 0)
        return `Kernel ${version} is older than 6.12: no file-backed EROFS, so booting needs a loop device`;
    }
    return undefined;
  },
};

export const bootcKargs: LintRule = {
  name: "bootc-kargs",
  type: "fatal",
  description: "Every /usr/lib/bootc/kargs.d/*.toml must be one that an upgrade can read.",
  check(root) {
    const directory = "usr/lib/bootc/kargs.d";
    for (const name of root.list(directory).filter((entry) => entry.endsWith(".toml"))) {
      try {
        parseKargsFile(root.text(`${directory}/${name}`) ?? "", show(`${directory}/${name}`));
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        return error.message;
      }
    }
    return undefined;
  },
};

export const utf8: LintRule = {
  name: "utf8",
  type: "fatal",
  description: "Names of files and targets of symbolic links must be UTF-8.",
  check: (root) => findBadName(root, ""),
};

function findBadName(root: LintRoot, directory: string): string | undefined {
  for (const name of root.list(directory)) {
    const path = directory === "" ? name : `${directory}/${name}`;
    if (!isUtf8(name)) return `Found non-utf8 filename: ${show(path)}`;
    const stat = root.lstat(path);
    if (stat?.kind === "symlink" && !isUtf8(root.readlink(path))) return `Found non-utf8 symlink target: ${show(path)}`;
    const below = stat?.kind === "directory" && !root.isMountPoint(path) ? findBadName(root, path) : undefined;
    if (below !== undefined) return below;
  }
  return undefined;
}

function isUtf8(name: string): boolean {
  return /^[\x00-\x7f]*$/.test(name) || Buffer.from(byteNameToText(name), "utf8").toString("latin1") === name;
}

export const sysusers: LintRule = {
  name: "sysusers",
  type: "warning",
  description:
    "Users and groups that only /etc/passwd and /etc/group know clash with what the machine adds; say them in /usr/lib/sysusers.d.",
  check(root, { truncate }) {
    const known = readSysusers(root);
    const lacking = (file: string, names: ReadonlySet<string>): string[] => {
      const entries = (root.text(file) ?? "").split("\n").map((line) => line.split(":")[0] ?? "");
      return entries.filter((name) => name !== "" && !name.startsWith("#") && !names.has(name)).sort();
    };
    const users = lacking("etc/passwd", known.users);
    const groups = lacking("etc/group", known.groups);
    const found = [
      ...(users.length === 0
        ? []
        : [listItems("Found /etc/passwd entry without corresponding systemd sysusers.d", users, truncate)]),
      ...(groups.length === 0
        ? []
        : [listItems("Found /etc/group entry without corresponding systemd sysusers.d", groups, truncate)]),
    ];
    return found.length === 0 ? undefined : found.join("\n");
  },
};

export const varTmpfiles: LintRule = {
  name: "var-tmpfiles",
  type: "warning",
  rootType: "running",
  description:
    "/var of an image reaches a machine once, at installation; tmpfiles.d makes its directories there at every boot.",
  check(root, { truncate }) {
    const index = createTmpfilesIndex(root);
    const missing: string[] = [];
    const unsupported: string[] = [];
    const walk = (directory: string): void => {
      for (const name of root.list(directory)) {
        const path = `${directory}/${name}`;
        const stat = root.lstat(path);
        if (stat === undefined || index.ignores(`/${path}`)) continue;
        if (stat.kind === "directory") {
          if (root.isMountPoint(path)) continue;
          if (!index.creates(`/${path}`))
            missing.push(`d ${show(path)} 0${stat.mode.toString(8)} ${stat.uid} ${stat.gid} - -`);
          walk(path);
        } else if (stat.kind === "symlink") {
          if (!index.creates(`/${path}`))
            missing.push(`L ${show(path)} - - - - ${byteNameToText(root.readlink(path))}`);
        } else if (!index.creates(`/${path}`)) unsupported.push(show(path));
      }
    };
    walk("var");
    const found = [
      ...(missing.length === 0
        ? []
        : [listItems("Found content in /var missing systemd tmpfiles.d entries", missing, truncate)]),
      ...(unsupported.length === 0
        ? []
        : [listItems("Found non-directory/non-symlink files in /var", unsupported, truncate)]),
    ];
    return found.length === 0 ? undefined : found.join("\n");
  },
};

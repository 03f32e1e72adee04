/** Rules about the directories of an image: what must be there, what must not, what must be empty. */
import { type LintRoot, listItems, show } from "./lint-root.ts";
import type { LintRule } from "./rule.ts";

const API_DIRECTORIES = ["dev", "proc", "sys", "run", "tmp", "var"];

export const apiBaseDirectories: LintRule = {
  name: "api-base-directories",
  type: "fatal",
  description:
    "The directories that the kernel and systemd mount on or write to must exist: /dev /proc /sys /run /tmp /var.",
  check(root) {
    const missing = API_DIRECTORIES.filter((path) => root.lstat(path)?.kind !== "directory");
    return missing.length === 0 ? undefined : `Missing API filesystem base directory: ${missing.map(show).join(" ")}`;
  },
};

export const varRun: LintRule = {
  name: "var-run",
  type: "fatal",
  description: "/var/run must be a symbolic link to /run; a directory there is never seen again.",
  check(root) {
    const stat = root.lstat("var/run");
    return stat === undefined || stat.kind === "symlink" ? undefined : "Not a symlink: /var/run";
  },
};

export const etcUsretc: LintRule = {
  name: "etc-usretc",
  type: "fatal",
  description: "An image has its configuration in /etc; /usr/etc beside it is a second, conflicting copy.",
  check: (root) =>
    root.lstat("etc")?.kind === "directory" && root.lstat("usr/etc")?.kind === "directory"
      ? "Found /usr/etc, and /etc exists too; keep configuration in /etc only"
      : undefined,
};

export const baseimageRoot: LintRule = {
  name: "baseimage-root",
  type: "fatal",
  description:
    "/sysroot must be a directory. /ostree, where it exists, must be the link to sysroot/ostree; images for composefs alone need none.",
  check(root) {
    if (root.lstat("sysroot")?.kind !== "directory") return "Missing directory: /sysroot";
    const ostree = root.lstat("ostree");
    if (ostree === undefined) {
      return root.lstat("sysroot/ostree") === undefined
        ? undefined
        : "/sysroot/ostree exists, and /ostree is no link to it";
    }
    if (ostree.kind !== "symlink") return "Expected symlink: /ostree";
    const target = root.readlink("ostree");
    return target === "sysroot/ostree"
      ? undefined
      : `Expected /ostree to link to sysroot/ostree, it links to ${target}`;
  },
};

export const baseimageComposefs: LintRule = {
  name: "baseimage-composefs",
  type: "warning",
  description:
    "An image that also serves ostree must enable composefs in ostree/prepare-root.conf; images for composefs alone have no such file.",
  check(root) {
    if (root.lstat("ostree") === undefined && root.lstat("sysroot/ostree") === undefined) return undefined;
    const text = ["etc", "usr/lib"]
      .map((directory) => root.text(`${directory}/ostree/prepare-root.conf`))
      .find((found) => found !== undefined);
    if (text === undefined) return "ostree/prepare-root.conf is missing below /usr/lib and /etc";
    return isComposefsEnabled(text) ? undefined : "ostree/prepare-root.conf does not enable composefs";
  },
};

/** `[composefs] enabled = yes|true|verity|signed`, or a transient root. */
function isComposefsEnabled(text: string): boolean {
  let section = "";
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    const header = /^\[(.+)\]$/.exec(line)?.[1];
    if (header !== undefined) section = header;
    const [key = "", value = ""] = line.split("=").map((part) => part.trim().toLowerCase());
    if (section === "composefs" && key === "enabled" && ["yes", "true", "1", "verity", "signed"].includes(value))
      return true;
    if (section === "root" && key === "transient" && ["yes", "true", "1"].includes(value)) return true;
  }
  return false;
}

export const nonemptyBoot: LintRule = {
  name: "nonempty-boot",
  type: "warning",
  description: "/boot belongs to the machine. Kernels of an image lie in /usr/lib/modules.",
  check(root, { truncate }) {
    if (root.lstat("boot")?.kind !== "directory") return "Missing directory: /boot";
    if (root.isMountPoint("boot")) return undefined;
    const names = root.list("boot").filter((name) => name !== "EFI");
    return names.length === 0
      ? undefined
      : listItems(
          "Found non-empty /boot",
          names.map((name) => show(`boot/${name}`)),
          truncate,
        );
  },
};

const STUB = "run/systemd/resolve/stub-resolv.conf";

export const nonemptyRunTmp: LintRule = {
  name: "nonempty-run-tmp",
  type: "warning",
  description: "What an image has in /run and /tmp is hidden when it boots.",
  check(root, { truncate }) {
    const found = ["run", "tmp"].flatMap((directory) =>
      root.isMountPoint(directory) ? [] : contentOf(root, directory),
    );
    return found.length === 0
      ? undefined
      : listItems("Found content in runtime-only directories", found.map(show), truncate);
  },
};

function contentOf(root: LintRoot, directory: string): string[] {
  return root.list(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    if (path === STUB || root.isMountPoint(path)) return [];
    if (!STUB.startsWith(`${path}/`)) return [path];
    const below = root.list(path).length === 0 ? [path] : contentOf(root, path);
    return below;
  });
}

export const buildahInjected: LintRule = {
  name: "buildah-injected",
  type: "warning",
  rootType: "alternative",
  description: "Builders mount over /etc/hostname and /etc/resolv.conf; what stays in the image is an empty file.",
  check(root) {
    const empty = ["etc/hostname", "etc/resolv.conf"].filter((path) => {
      const stat = root.lstat(path);
      return stat?.kind === "file" && stat.size === 0;
    });
    return empty.length === 0 ? undefined : `Empty file that a builder left: ${empty.map(show).join(" ")}`;
  },
};

export const varLog: LintRule = {
  name: "var-log",
  type: "warning",
  description: "Log files of the build say when it ran; they make two builds differ and are no part of a system.",
  check(root, { truncate }) {
    const found = logFiles(root, "var/log");
    return found.length === 0 ? undefined : listItems("Found non-empty logfiles", found.map(show), truncate);
  },
};

function logFiles(root: LintRoot, directory: string): string[] {
  return root.list(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    const stat = root.lstat(path);
    if (stat?.kind === "directory") return root.isMountPoint(path) ? [] : logFiles(root, path);
    return stat?.kind === "file" && stat.size > 0 ? [path] : [];
  });
}

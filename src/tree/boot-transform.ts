/**
 * bootTransform(): the tree of the plain image to the tree that a machine boots, whose image id names the deployment. /boot and
 * /sysroot are emptied (a UKI in /boot could not hold the digest of an image that holds the UKI), and SELinux labels are those
 * of the image's own policy.
 *
 * @see composefs-rs, BootOps::transform_for_boot (0.9.0: an emptied directory keeps its nanoseconds)
 */
import type { ByteName } from "../core/bytes.ts";
import type { Directory, FileLeaf } from "./node.ts";
import { emptied, requireDirectory } from "./oci-transform.ts";
import { relabel } from "./selinux.ts";

export interface BootTransformOptions {
  /** Content of a file that is an object; called only for SELinux policy files. */
  readonly readFile: (leaf: FileLeaf) => Uint8Array;
}

/** `tree` is the result of ociTransform() and left as it is. Throws Failure "bad-input" when /usr, /boot or /sysroot is missing. */
export function bootTransform(tree: Directory, options: BootTransformOptions): Directory {
  const usr = requireDirectory(tree, "usr").stat;
  const root: Directory = { kind: "directory", stat: tree.stat, children: new Map(tree.children) };
  for (const name of ["boot", "sysroot"]) {
    root.children.set(name as ByteName, emptied(requireDirectory(tree, name), { mtimeSec: usr.mtimeSec }));
  }
  return relabel(root, options);
}

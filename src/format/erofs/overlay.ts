/**
 * Names by which composefs speaks to overlayfs inside an image. What the source tree has of `trusted.overlay.` is moved to
 * `trusted.overlay.overlay.`, so that only what the writer adds takes effect on the outermost mount.
 *
 * @see Linux Documentation/filesystems/overlayfs.rst, "Nesting overlayfs mounts"
 */

export const OVERLAY_PREFIX = "trusted.overlay.";
export const ESCAPED_PREFIX = "trusted.overlay.overlay.";
export const METACOPY = "trusted.overlay.metacopy";
export const REDIRECT = "trusted.overlay.redirect";
export const OPAQUE = "trusted.overlay.opaque";

/** On the regular file that stands for a whiteout. */
export const WHITEOUT_MARKS = ["trusted.overlay.overlay.whiteout", "user.overlay.whiteout"] as const;
/** On the directory that holds one. */
export const WHITEOUTS_MARKS = ["trusted.overlay.overlay.whiteouts", "user.overlay.whiteouts"] as const;
/** On the same directory, with value "x", from version 1 on. */
export const OPAQUE_MARKS = ["trusted.overlay.overlay.opaque", "user.overlay.opaque"] as const;

/** `00 ff`: names of the character devices in / that hide the object directories when layers are stacked the old way. */
export const STUB_NAMES: readonly string[] = Array.from({ length: 256 }, (_, index) =>
  index.toString(16).padStart(2, "0"),
);
export const STUB_MODE = 0o644;

/**
 * LayerEntry: one member of a layer's tar, as the tree sees it: metadata, and content that is inline or an object already.
 *
 * @see OCI image-spec layer.md
 */
import type { ByteName } from "../core/bytes.ts";
import type { FileContent, Stat } from "./node.ts";

interface EntryBase {
  /** Relative, without leading `./` or `/`, without trailing `/`; empty for the root itself. */
  readonly path: ByteName;
  readonly stat: Stat;
}

export type LayerEntry =
  | (EntryBase & { readonly kind: "directory" })
  | (EntryBase & { readonly kind: "file"; readonly size: number; readonly content: FileContent })
  | (EntryBase & { readonly kind: "symlink"; readonly target: ByteName })
  /** `target` as in the tar: a path in the merged tree, a leading `/` allowed. */
  | (EntryBase & { readonly kind: "hardlink"; readonly target: ByteName })
  | (EntryBase & { readonly kind: "char" | "block"; readonly rdev: number })
  | (EntryBase & { readonly kind: "fifo" });

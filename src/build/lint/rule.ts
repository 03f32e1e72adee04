/** LintRule: one thing to check in an image. */
import type { LintRoot } from "./lint-root.ts";

export interface LintRule {
  readonly name: string;
  /** fatal: the image must not be deployed so. */
  readonly type: "fatal" | "warning";
  readonly description: string;
  /** Rules that make sense in one kind of tree only: a container's own `/`, or a tree elsewhere. */
  readonly rootType?: "running" | "alternative";
  /** What is wrong; undefined when nothing is. */
  readonly check: (root: LintRoot, options: { readonly truncate: boolean }) => string | undefined;
}

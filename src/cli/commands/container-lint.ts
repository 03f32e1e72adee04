/** `berth container lint`: the checks of an image before it is deployed; made to be the last RUN of a Containerfile. */
import { countFailed, formatLint, formatLintList, LINT_RULES, lintRoot } from "../../build/lint/lint.ts";
import { openLintRoot } from "../../build/lint/lint-root.ts";
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { command } from "../command.ts";

export const containerLintCommand = command({
  name: "container lint",
  summary: "Check that an image will make a system",
  description: "Fatal lints end with exit status 1, warnings do so with --fatal-warnings.",
  flags: {
    rootfs: { type: "string", value: "DIR", default: "/", summary: "the tree to check" },
    "fatal-warnings": { type: "boolean", summary: "a warning fails too" },
    list: { type: "boolean", summary: "list the lints" },
    skip: { type: "list", value: "NAME", summary: "leave this lint out" },
    "no-truncate": { type: "boolean", summary: "show all items, not the first five" },
  },
  examples: [["RUN berth container lint", "the last line of a Containerfile"]],
  async run(values, _operands, context) {
    if (values.list) {
      if (!context.json) context.print(formatLintList());
      return LINT_RULES.map(({ name, type, description, rootType }) => ({ name, type, description, rootType }));
    }
    const path = textToByteName(values.rootfs);
    if (context.host.files.stat(path)?.kind !== "directory") {
      throw new Failure("not-found", `Cannot check "${values.rootfs}": there is no such directory`);
    }
    const result = lintRoot(openLintRoot(context.host.files, context.host.files.realpath(path)), {
      skip: values.skip,
      truncate: !values["no-truncate"],
    });
    const failed = countFailed(result, { fatalWarnings: values["fatal-warnings"] });
    if (!context.json) context.print(formatLint(result));
    else if (failed > 0) context.print(`${JSON.stringify(result, undefined, 2)}\n`);
    if (failed > 0) throw new Failure("check-failed", `Checks failed: ${failed}`);
    return result;
  },
  view: () => undefined,
});

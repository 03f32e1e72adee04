/** COPY and ADD: flags, sources, heredocs, destination. */
import { parseOpening } from "./heredoc.ts";
import type { CopySource, InstructionBody } from "./instruction.ts";
import {
  checked,
  checkedFlag,
  fail,
  fixedText,
  jsonOrWords,
  type ReadInstruction,
  type ShapeContext,
} from "./shape-context.ts";

const CHMOD = /^(?:[0-7]{1,4}|[ugoa]*[-+=][rwxXstugo]*(?:,[ugoa]*[-+=][rwxXstugo]*)*)$/;

export function readCopy(context: ShapeContext, kind: "copy" | "add"): ReadInstruction {
  const { flags, line } = context;
  const words = jsonOrWords(context).map((word) => checked(context, word));
  const name = context.name;
  if (words.length === 0) throw fail(context, `${name} requires at least two arguments`);
  const target = words.at(-1);
  if (words.length === 1 || target === undefined) {
    throw fail(
      context,
      `${name} requires at least two arguments, but only one was provided: the destination is missing`,
      words[0]?.offset,
    );
  }
  const heredocs = [...line.heredocs];
  const sources = words.slice(0, -1).map((word): CopySource => {
    const opened = heredocs.length > 0 && parseOpening(word, context.escape) !== undefined;
    const heredoc = opened ? heredocs.shift() : undefined;
    return heredoc === undefined ? { kind: "path", word } : { kind: "heredoc", heredoc };
  });
  if (heredocs.length > 0) throw fail(context, `${name} wants a destination after its heredocs`, target.offset);
  const chmod = checkedFlag(context, "chmod");
  if (chmod !== undefined && !CHMOD.test(fixedText(context, chmod) ?? "0")) {
    throw fail(
      context,
      `invalid --chmod ${JSON.stringify(chmod.text)}`,
      chmod.offset,
      "wanted an octal mode such as 0644, or e.g. u=rwX,go=rX",
    );
  }
  const checksum = checkedFlag(context, "checksum");
  const checksumText = checksum && fixedText(context, checksum);
  if (checksum !== undefined && checksumText !== undefined && !/^(?:[a-z0-9]+:)?[0-9a-f]{7,128}$/.test(checksumText)) {
    throw fail(
      context,
      `invalid --checksum ${JSON.stringify(checksum.text)}`,
      checksum.offset,
      "wanted sha256:<64 hex>",
    );
  }
  const from = checkedFlag(context, "from");
  if (from !== undefined && from.text === "") throw fail(context, "flag --from of COPY needs a value", from.offset);
  if (from !== undefined && sources.some((source) => source.kind === "heredoc")) {
    throw fail(context, "COPY --from takes no heredoc", from.offset);
  }
  const body: InstructionBody = {
    kind,
    sources,
    target,
    from,
    chown: checkedFlag(context, "chown"),
    chmod,
    checksum,
    exclude: flags.all("exclude").map((word) => checked(context, word)),
    link: flags.flag("link") ?? false,
    parents: flags.flag("parents") ?? false,
    keepGitDir: flags.flag("keep-git-dir") ?? false,
    unpack: flags.flag("unpack"),
  };
  return { body, args: words.map((word) => word.text) };
}

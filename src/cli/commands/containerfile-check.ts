/** `berth containerfile check`: reads Containerfiles and says whether they are right, without building. */
import { checkContainerfile, formatCheck } from "../../containerfile/check.ts";
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { command } from "../command.ts";

export const containerfileCheckCommand = command({
  name: "containerfile check",
  summary: "Check Containerfiles without building them",
  description: "With --json one line a file: what it holds, or where it is wrong.",
  flags: { json: { type: "boolean", summary: "one JSON line a file" } },
  operands: [{ name: "FILE", summary: "Containerfile; - is standard input", many: true }],
  async run(values, files, context) {
    const results = [];
    for (const file of files) {
      const text = file === "-" ? await context.readStdin() : context.host.files.readText(textToByteName(file));
      const result = checkContainerfile(file, text);
      results.push(result);
      context.print(values.json ? `${JSON.stringify(result)}\n` : formatCheck(result));
    }
    const rejected = results.filter((result) => !result.accept).length;
    if (rejected > 0) throw new Failure("check-failed", `${rejected} of ${files.length} files rejected`);
    return results;
  },
});

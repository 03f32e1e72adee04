/** `berth registry check`: hashes a registry's whole content again. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { formatBytes, formatCount } from "../../core/units.ts";
import { type CheckProblem, checkStorage } from "../../registry/upkeep/check.ts";
import { openRegistryStorage } from "../../registry/storage.ts";
import { command } from "../command.ts";

export const registryCheckCommand = command({
  name: "registry check",
  summary: "Check every blob, manifest, tag and referrer of a registry",
  description:
    "Hashes all content again and follows all names, while the registry may serve. With --repair damaged blobs are put aside, so that the next\n" +
    "push brings them again. Exit status 1 when something is wrong, and with --repair when more is wrong than damaged blobs.",
  flags: { repair: { type: "boolean", summary: "Put damaged blobs aside" } },
  operands: [{ name: "DIR", summary: "the registry's folder" }],
  examples: [["berth registry check --repair /srv/registry", "put damaged blobs aside; then push their images again"]],
  async run(values, [directory = ""], context) {
    using registry = await openRegistryStorage(context.host, textToByteName(directory));

    const { driver, config } = registry;
    // A copy of another registry has what was asked for, and need not have the rest.
    const copies = (config.upstream ?? []).map(({ prefix }) => `${prefix}/**`);
    const sparse = [...config.protocol.sparse, ...copies];
    const report = await checkStorage(driver, { repair: values.repair, sparse, signal: context.signal });
    for (const problem of report.problems) context.progress.warn(describe(problem));
    if (report.problems.some(({ quarantined }) => quarantined !== true)) {
      throw new Failure(
        "corrupt",
        `Cannot vouch for registry "${directory}": ${formatCount(report.problems.length, "problem")} found`,
        {
          hint: "put damaged blobs aside with --repair, then push the images again",
        },
      );
    }
    return report;
  },
  view: ({ blobs, bytes, repositories, problems }) =>
    `Checked ${formatCount(blobs, "blob")} (${formatBytes(bytes)}) in ${formatCount(repositories, "repository")}: ` +
    (problems.length === 0 ? "all is whole" : `${formatCount(problems.length, "blob")} put aside`),
});

function describe({ kind, repository, digest, tag }: CheckProblem): string {
  const where = repository === undefined ? "" : ` in ${repository}`;
  return `${kind.replace("-", " ")}${where}: ${tag ?? digest ?? ""}`;
}

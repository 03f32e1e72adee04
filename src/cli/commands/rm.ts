/** `berth rm`: removes containers. */
import { findContainer, listContainers, removeContainer, stopContainer } from "../../containers/containers.ts";
import { Failure } from "../../core/failure.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";

export const rmCommand = command({
  name: "rm",
  summary: "Remove containers",
  flags: {
    force: { type: "boolean", short: "f", summary: "Kill those that run" },
    all: { type: "boolean", short: "a", summary: "All of them" },
  },
  operands: [{ name: "CONTAINER", summary: "name or id", optional: true, many: true }],
  needsRoot: true,
  async run(values, operands, { host, signal }) {
    if (operands.length === 0 && !values.all)
      throw new Failure("usage", "Cannot remove containers: none is named", { hint: "name them, or use --all" });
    using store = openWorkstationStore(host);
    const containers = values.all
      ? listContainers(host, store)
      : operands.map((text) => findContainer(host, store, text));
    for (const container of containers) {
      if (container.state.status === "running" && values.force)
        await stopContainer(host, store, container, { timeoutMs: 0, signal });
      const still = listContainers(host, store).find(({ record }) => record.id === container.record.id);
      // One that was started with --rm is gone by now.
      if (still !== undefined) await removeContainer(host, store, still);
    }
    return { removed: values.all ? containers.map(({ record }) => record.name) : operands };
  },
  view: ({ removed }) => removed.join("\n"),
});

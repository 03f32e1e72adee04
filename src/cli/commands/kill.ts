/** `berth kill`: sends a signal to containers. */
import { Failure } from "../../core/failure.ts";
import { findContainer, signalContainer } from "../../containers/containers.ts";
import { parseSignal } from "../../containers/signals.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";

export const killCommand = command({
  name: "kill",
  summary: "Send a signal to containers",
  flags: { signal: { type: "string", short: "s", value: "SIGNAL", default: "KILL", summary: "Name or number" } },
  operands: [{ name: "CONTAINER", summary: "name or id", many: true }],
  needsRoot: true,
  async run(values, operands, { host }) {
    const signal = parseSignal(values.signal);
    using store = openWorkstationStore(host);
    const containers = operands.map((text) => ({ text, container: findContainer(host, store, text) }));
    for (const { text, container } of containers) {
      if (!signalContainer(host, container, signal)) {
        throw new Failure("conflict", `Cannot kill container "${text}": it is not running`);
      }
    }
    return { killed: containers.map(({ text }) => text) };
  },
  view: ({ killed }) => killed.join("\n"),
});

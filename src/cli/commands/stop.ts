/** `berth stop`: ends containers in order. */
import { findContainer, stopContainer } from "../../containers/containers.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { parseSeconds } from "../seconds.ts";

export const stopCommand = command({
  name: "stop",
  summary: "Stop containers",
  description:
    "Sends the image's stop signal (SIGTERM, or what shuts systemd down), and kills what has not ended after the time.",
  flags: {
    time: { type: "string", short: "t", value: "SECONDS", default: "10", summary: "How long to wait before killing" },
  },
  operands: [{ name: "CONTAINER", summary: "name or id", many: true }],
  needsRoot: true,
  async run(values, operands, { host, signal }) {
    const timeoutMs = parseSeconds(values.time);
    using store = openWorkstationStore(host);
    const containers = operands.map((text) => ({ text, container: findContainer(host, store, text) }));
    for (const { container } of containers) await stopContainer(host, store, container, { timeoutMs, signal });
    return { stopped: containers.map(({ text }) => text) };
  },
  view: ({ stopped }) => stopped.join("\n"),
});

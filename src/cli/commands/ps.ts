/** `berth ps`: the containers of this machine. */
import { listContainers } from "../../containers/containers.ts";
import { formatPort, formatStatus, portsOf } from "../../containers/view.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { formatAge, formatTable, shortId } from "../table.ts";

export const psCommand = command({
  name: "ps",
  summary: "List containers",
  flags: {
    all: { type: "boolean", short: "a", summary: "Also those that do not run" },
    quiet: { type: "boolean", short: "q", summary: "Ids only" },
    "no-trunc": { type: "boolean", summary: "Full ids and commands" },
  },
  needsRoot: true,
  async run(values, _operands, { host }) {
    using store = openWorkstationStore(host);
    const now = host.clock.now();
    const containers = listContainers(host, store).filter(({ state }) => values.all || state.status === "running");
    const cut = (text: string, length: number): string =>
      values["no-trunc"] || text.length <= length ? text : `${text.slice(0, length - 3)}...`;
    return {
      quiet: values.quiet,
      found: containers.map(({ record, state }) => ({
        id: record.id,
        name: record.name,
        image: record.imageName,
        imageDigest: record.imageDigest,
        command: record.args,
        created: new Date(record.createdMs).toISOString(),
        status: state.status,
        exitCode: state.exitCode,
        ports: portsOf({ record, state }),
      })),
      containers: containers.map((container) => ({
        id: values["no-trunc"] ? container.record.id : shortId(container.record.id),
        image: container.record.imageName,
        command: cut(container.record.args.join(" "), 20),
        created: `${formatAge(now - container.record.createdMs)} ago`,
        status: formatStatus(container, now, formatAge),
        ports: portsOf(container).map(formatPort).join(", "),
        name: container.record.name,
      })),
    };
  },
  json: ({ found }) => found,
  view: ({ quiet, containers }) =>
    quiet
      ? containers.map(({ id }) => `${id}\n`).join("")
      : formatTable(
          ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"],
          containers.map(({ id, image, command: words, created, status, ports, name }) => [
            id,
            image,
            words,
            created,
            status,
            ports,
            name,
          ]),
        ),
});

/** `berth logs`: what a container in the background has written. */
import { findContainer } from "../../containers/containers.ts";
import { containersDirectory } from "../../containers/record.ts";
import { Failure } from "../../core/failure.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { type Context, command } from "../command.ts";

const POLL_MS = 100;

export const logsCommand = command({
  name: "logs",
  summary: "Show what a container wrote",
  flags: {
    follow: { type: "boolean", short: "f", summary: "Go on until the container ends" },
    tail: { type: "string", value: "LINES", summary: "Only the last lines" },
  },
  operands: [{ name: "CONTAINER", summary: "name or id" }],
  needsRoot: true,
  async run(values, [name = ""], context) {
    if (values.tail !== undefined && !/^\d+$/.test(values.tail))
      throw new Failure("usage", `Cannot show "${values.tail}" lines: wanted a number`);
    const { path, isRunning } = locate(context, name);
    const seen = print(context, path, 0, values.tail === undefined ? undefined : Number(values.tail));
    if (!values.follow) return;
    let position = seen;
    for (let running = isRunning(); ; running = isRunning()) {
      position = print(context, path, position, undefined);
      if (!running) return;
      await context.host.clock.sleep(POLL_MS, context.signal);
    }
  },
});

function locate(context: Context, name: string): { path: string; isRunning: () => boolean } {
  const { host } = context;
  using store = openWorkstationStore(host);
  const { record } = findContainer(host, store, name);
  const { path } = store;
  const directory = containersDirectory(path);
  return {
    path: `${directory}/${record.id}/log`,
    isRunning: () =>
      host.files.exists(`${directory}/${record.id}`) &&
      findContainer(host, { path }, record.id).state.status === "running",
  };
}

/** Prints from a position on; returns where it ended. */
function print({ host, print: write }: Context, path: string, from: number, lines: number | undefined): number {
  if (!host.files.exists(path)) return from;
  using file = host.files.open(path, "read");
  const content = Buffer.alloc(Math.max(0, file.sizeBytes() - from));
  const count = file.read(content, from);
  const text = content.toString("utf8", 0, count);
  write(lines === undefined ? text : lastLines(text, lines));
  return from + count;
}

function lastLines(text: string, count: number): string {
  const lines = text.split(/(?<=\n)/);
  return lines.slice(Math.max(0, lines.length - count)).join("");
}

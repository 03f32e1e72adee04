/** `berth internal supervise`: the process behind a container in the background. Started by `berth run -d`. */
import { findContainer, removeContainer } from "../../containers/containers.ts";
import { containersDirectory, readState, writeState } from "../../containers/record.ts";
import { failedState, supervise } from "../../containers/supervise.ts";
import type { Store } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";

export const internalSuperviseCommand = command({
  name: "internal supervise",
  summary: "Supervise a container in the background",
  hidden: true,
  flags: {},
  operands: [{ name: "ID", summary: "the container" }],
  needsRoot: true,
  async run(_values, [id = ""], context) {
    const { host } = context;
    host.mounts.isolate();
    const openStore = (): Store => openWorkstationStore(host);
    const record = ((): ReturnType<typeof findContainer>["record"] => {
      using store = openStore();
      return findContainer(host, store, id).record;
    })();
    try {
      await supervise(host, record, { detached: true, openStore, pid: process.pid, signal: context.signal });
    } catch (error) {
      using store = openStore();
      const directory = containersDirectory(store.path);
      // Whoever started us reads it there, and removes the container.
      if (readState(host, directory, id).status !== "exited")
        writeState(host.files, directory, id, failedState(host, error));
      throw error;
    }
    if (!record.autoRemove) return;
    using store = openStore();
    const container = findContainer(host, store, id);
    if (container.state.error === undefined) await removeContainer(host, store, container);
  },
});

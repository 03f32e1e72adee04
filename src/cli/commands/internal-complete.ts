/** `berth internal complete`: what the shell may offer for the word that is being typed, one a line. */
import { listContainers } from "../../containers/containers.ts";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { listVms } from "../../vm/state.ts";
import { type Command, command } from "../command.ts";
import { type Completion, complete } from "../complete.ts";

/** `all` is the table that is completed; it is handed in because this command is part of it. */
export function createInternalCompleteCommand(all: () => readonly Command[]): Command {
  return command({
    name: "internal complete",
    summary: "List what may be typed next",
    hidden: true,
    flags: {},
    operands: [{ name: "WORD", summary: "the words after berth; the last is being typed", many: true, optional: true }],
    passthrough: true,
    run: async (_values, words, context) => {
      const found = complete(all(), words);
      if (found.kind === "files") return [":files"];
      if (found.kind === "words") return found.words;
      return knownNames(context.host, found.kind).filter((name) => name.startsWith(words.at(-1) ?? ""));
    },
    view: (lines) => lines.join("\n"),
  });
}

/** Nothing where the user may not look. */
function knownNames(host: Host, kind: Exclude<Completion["kind"], "words" | "files">): readonly string[] {
  try {
    if (kind === "machines") return listVms(host).map(({ name }) => name);
    using store = openWorkstationStore(host);
    if (kind === "images") return store.images().flatMap(({ names }) => names);
    return listContainers(host, store).map(({ record }) => record.name);
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

/** `berth vm snapshot`, `berth vm restore`: a running machine's memory and disks, kept and taken up again in seconds. */
import { openVm } from "../../vm/machine.ts";
import { command } from "../command.ts";

const tagFlag = { tag: { type: "string", value: "TAG", default: "ready", summary: "Name of the snapshot" } } as const;
const operands = [{ name: "NAME", summary: "The machine" }] as const;

export const vmSnapshotCommand = command({
  name: "vm snapshot",
  summary: "Keep the memory and disks of a running virtual machine",
  description: "The machine must write to qcow2 only: a --type qcow2 disk, or any disk with --snapshot.",
  flags: tagFlag,
  operands,
  async run(values, [name = ""], context) {
    const vm = openVm(context.host, name, context.signal);
    await vm.sshPort();
    const task = context.progress.task(`Saving VM ${name}`);
    await vm.snapshot(values.tag);
    task.done(`VM ${name} is kept as "${values.tag}"`);
  },
});

export const vmRestoreCommand = command({
  name: "vm restore",
  summary: "Take up a virtual machine where a snapshot left it, running or stopped",
  flags: tagFlag,
  operands,
  async run(values, [name = ""], context) {
    const vm = openVm(context.host, name, context.signal);
    const task = context.progress.task(`Restoring VM ${name}`);
    await vm.restore(values.tag);
    task.done(`VM ${name} runs from "${values.tag}"`);
  },
});

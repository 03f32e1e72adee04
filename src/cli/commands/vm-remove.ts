/** `berth vm remove`: forgets a virtual machine. */
import { openVm, removeVm } from "../../vm/machine.ts";
import { command } from "../command.ts";

export const vmRemoveCommand = command({
  name: "vm remove",
  aliases: ["vm rm"],
  summary: "Forget a stopped virtual machine: its firmware variables and console log; its disks stay",
  flags: { force: { type: "boolean", short: "f", summary: "Cut its power first when it runs" } },
  operands: [{ name: "NAME", summary: "The machine" }],
  async run(values, [name = ""], context) {
    const vm = openVm(context.host, name, context.signal);
    if (values.force) await vm.kill();
    removeVm(context.host, name);
  },
});

/** `berth vm console`: the serial console of a virtual machine. */
import { Failure } from "../../core/failure.ts";
import { attachConsole } from "../../vm/attach.ts";
import { openVm } from "../../vm/machine.ts";
import { command } from "../command.ts";

export const vmConsoleCommand = command({
  name: "vm console",
  summary: "Attach to the serial console of a virtual machine (Ctrl-] leaves)",
  flags: {
    log: { type: "boolean", summary: "Print what the console has shown so far, and end" },
  },
  operands: [{ name: "NAME", summary: "The machine" }],
  async run(values, [name = ""], context) {
    const vm = openVm(context.host, name, context.signal);
    if (values.log) {
      context.print(vm.console());
      return;
    }
    if (vm.pid() === undefined) {
      throw new Failure("not-found", `Cannot attach to VM "${name}": it is not running`, {
        hint: `berth vm console --log ${name} shows its last words`,
      });
    }
    context.progress.say(`Console of VM ${name}; Ctrl-] leaves`);
    const { host, print, stdinIsTerminal, signal } = context;
    const how = await attachConsole(host, name, { print, stdinIsTerminal, history: false, signal });
    context.progress.say(how === "ended" ? `VM ${name} has ended` : "");
  },
});

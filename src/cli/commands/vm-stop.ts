/** `berth vm stop`: ends a virtual machine. */
import { Failure, isFailure } from "../../core/failure.ts";
import { openVm, removeVm } from "../../vm/machine.ts";
import { command } from "../command.ts";
import { readSeconds } from "./vm-wait.ts";

export const vmStopCommand = command({
  name: "vm stop",
  summary: "Stop a virtual machine",
  description:
    "Presses the power button and waits until the machine has shut down. The state of a --snapshot machine goes with it.",
  flags: {
    force: { type: "boolean", short: "f", summary: "Cut the power instead" },
    timeout: { type: "string", value: "SECONDS", default: "120", summary: "How long the machine may take" },
  },
  operands: [{ name: "NAME", summary: "The machine" }],
  async run(values, [name = ""], context) {
    const timeoutMs = readSeconds(values.timeout);
    const vm = openVm(context.host, name, context.signal);
    if (vm.pid() === undefined) context.progress.say(`VM ${name} does not run`);
    else if (values.force) await vm.kill();
    else {
      const task = context.progress.task(`Stopping VM ${name}`);
      try {
        await vm.powerOff(timeoutMs);
      } catch (error) {
        if (!isFailure(error, "check-failed")) throw error;
        throw new Failure("check-failed", `Cannot stop VM "${name}": it did not shut down within ${values.timeout} s`, {
          hint: `berth vm stop --force ${name}`,
        });
      }
      task.done(`VM ${name} is off`);
    }
    if (vm.spec.throwAway) removeVm(context.host, name);
  },
});

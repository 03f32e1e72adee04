/** `berth vm wait`: until a virtual machine can be reached, or is off. */
import { Failure } from "../../core/failure.ts";
import { openVm } from "../../vm/machine.ts";
import { command } from "../command.ts";

export const vmWaitCommand = command({
  name: "vm wait",
  summary: "Wait until a virtual machine lets in by ssh, or has powered off",
  flags: {
    for: { type: "string", choices: ["ssh", "poweroff"], default: "ssh", summary: "What to wait for" },
    timeout: { type: "string", value: "SECONDS", default: "300", summary: "How long" },
    user: { type: "string", value: "NAME", default: "root", summary: "Who logs in" },
    identity: {
      type: "string",
      short: "i",
      value: "FILE",
      summary: "Private key; without it a greeting of the machine's sshd is enough",
    },
  },
  operands: [{ name: "NAME", summary: "The machine" }],
  examples: [["berth vm wait web --for ssh -i key", "until root can log in"]],
  async run(values, [name = ""], context) {
    const { host, progress } = context;
    const timeoutMs = readSeconds(values.timeout);
    const vm = openVm(host, name, context.signal);
    const startedMs = host.clock.elapsed();
    const task = progress.task(
      values.for === "ssh" ? `Waiting for ssh of VM ${name}` : `Waiting for VM ${name} to power off`,
    );
    if (values.for === "ssh") {
      await vm.waitForSsh({
        timeoutMs,
        user: values.user,
        ...(values.identity !== undefined && { key: values.identity }),
      });
    } else {
      await vm.waitForPowerOff(timeoutMs);
    }
    const seconds = ((host.clock.elapsed() - startedMs) / 1000).toFixed(1);
    task.done(values.for === "ssh" ? `VM ${name} lets in after ${seconds} s` : `VM ${name} is off after ${seconds} s`);
  },
});

/** Milliseconds of a number of seconds. Failure "usage". */
export function readSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^[0-9]+(?:\.[0-9]+)?$/.test(text) || !(seconds > 0)) {
    throw new Failure("usage", `Cannot wait ${JSON.stringify(text)} seconds: wanted a number above 0`);
  }
  return seconds * 1000;
}

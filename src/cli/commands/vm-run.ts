/** `berth vm run`: starts a virtual machine from disk images. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { attachConsole } from "../../vm/attach.ts";
import { createVm, openVm, removeVm, startVm, type Vm } from "../../vm/machine.ts";
import { parseCpus, parseMemory, parsePort, parseVmName } from "../../vm/spec.ts";
import { freeVmName } from "../../vm/state.ts";
import { type Context, command } from "../command.ts";

export const vmRunCommand = command({
  name: "vm run",
  summary: "Start a virtual machine from disk images",
  description:
    "Runs QEMU with KVM where the processor has it, else by emulation. The machine's sshd is reached through a free port of 127.0.0.1\n" +
    "(berth vm ssh, berth vm list). Without -d its console is shown; Ctrl-] leaves it and the machine runs on.\n" +
    "Without --disk a machine of this name that was stopped is started again.",
  flags: {
    disk: { type: "list", value: "FILE", summary: "Disk image, raw or qcow2; the first one boots" },
    name: { type: "string", value: "NAME", summary: "Name of the machine (default: vm1, vm2, ...)" },
    memory: { type: "string", value: "MIB", default: "2048", summary: "Memory in MiB, or e.g. 2G" },
    cpus: { type: "string", value: "N", summary: "Processors (default: 2 with KVM, 1 without)" },
    uefi: { type: "boolean", summary: "Boot by UEFI (the default)" },
    bios: { type: "boolean", summary: "Boot by BIOS" },
    port: { type: "list", short: "p", value: "HOST:GUEST", summary: "Forward a TCP port of 127.0.0.1" },
    snapshot: { type: "boolean", summary: "Leave the disk images as they are: what the machine writes ends with it" },
    accel: { type: "string", choices: ["auto", "kvm", "tcg"], default: "auto", summary: "Accelerator" },
    detach: { type: "boolean", short: "d", summary: "Return when the machine has started" },
  },
  examples: [
    ["berth vm run -d --name web --disk out/disk.raw", "start a machine by UEFI"],
    ["berth vm run --disk out/disk.qcow2 --bios --snapshot --port 8080:80", "try one out, console on this terminal"],
  ],
  async run(values, _operands, context) {
    if (values.uefi && values.bios)
      throw new Failure("usage", "Cannot boot by --uefi and --bios at once: wanted one of them");
    const name = values.name === undefined ? freeVmName(context.host) : parseVmName(values.name);
    const vm =
      values.disk.length === 0
        ? await startAgain(name, values.name, context)
        : await startVm(context.host, {
            name,
            disks: values.disk.map(textToByteName),
            memoryMib: parseMemory(values.memory),
            ...(values.cpus !== undefined && { cpus: parseCpus(values.cpus) }),
            firmware: values.bios ? "bios" : "uefi",
            ports: values.port.map(parsePort),
            throwAway: values.snapshot,
            ...(values.accel === "auto" ? {} : { accelerator: values.accel === "kvm" ? "kvm" : "tcg" }),
            signal: context.signal,
          });
    const sshPort = await vm.sshPort();
    context.progress.say(
      `VM ${name} runs (${vm.spec.firmware}, ${vm.spec.accelerator}); its ssh is at 127.0.0.1:${sshPort}`,
    );
    if (!values.detach) await showConsole(vm, context);
    return { name, pid: vm.pid(), sshPort, accelerator: vm.spec.accelerator, detached: values.detach };
  },
  view: (value) => (value.detached ? value.name : undefined),
});

async function startAgain(name: string, given: string | undefined, context: Context): Promise<Vm> {
  if (given === undefined)
    throw new Failure("usage", "Cannot start a VM: neither --disk nor --name is given", {
      hint: "see berth vm run --help",
    });
  const { spec } = openVm(context.host, name, context.signal);
  const vm = createVm(context.host, spec, context.signal);
  await vm.start();
  return vm;
}

async function showConsole(vm: Vm, context: Context): Promise<void> {
  const { host, signal } = context;
  const how = await attachConsole(host, vm.name, {
    print: context.print,
    stdinIsTerminal: context.stdinIsTerminal,
    history: true,
    signal,
  });
  if (how === "detached") {
    context.progress.say(
      `VM ${vm.name} runs on; berth vm console ${vm.name} comes back to it, berth vm stop ${vm.name} ends it`,
    );
    return;
  }
  await vm.waitForPowerOff(10_000);
  if (vm.spec.throwAway) removeVm(host, vm.name);
}

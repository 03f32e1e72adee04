/** `berth vm list`: the virtual machines of this host. */
import { isFailure } from "../../core/failure.ts";
import { openVm, type Vm } from "../../vm/machine.ts";
import { listVms } from "../../vm/state.ts";
import { type Context, command } from "../command.ts";

export const vmListCommand = command({
  name: "vm list",
  aliases: ["vm ls"],
  summary: "List virtual machines",
  flags: { running: { type: "boolean", summary: "Only those that run" } },
  async run(values, _operands, context) {
    const found = listVms(context.host).filter((vm) => vm.running || !values.running);
    const opened = found.flatMap(({ name, pid }) => {
      const vm = openOrTell(name, context);
      return vm === undefined ? [] : [{ name, pid, vm }];
    });
    return Promise.all(
      opened.map(async ({ name, pid, vm }) => {
        const { firmware, accelerator, memoryMib, cpus, throwAway } = vm.spec;
        const forwards = pid === undefined ? new Map<number, number>() : await vm.forwards();
        return {
          name,
          state: pid === undefined ? "stopped" : "running",
          ...(pid !== undefined && { pid }),
          ...(forwards.has(22) && { sshPort: forwards.get(22) }),
          ports: [...forwards]
            .filter(([guestPort]) => guestPort !== 22)
            .map(([guestPort, hostPort]) => ({ hostPort, guestPort })),
          firmware,
          accelerator,
          memoryMib,
          cpus,
          throwAway,
          disks: vm.spec.disks.map((disk) => disk.path),
          directory: vm.directory,
        };
      }),
    );
  },
  view(vms) {
    const rows = vms.map((vm) => [
      vm.name,
      vm.state,
      vm.sshPort === undefined ? "-" : String(vm.sshPort),
      vm.firmware,
      `${vm.memoryMib}M`,
      String(vm.cpus),
      vm.disks.join(" "),
    ]);
    const table = [["NAME", "STATE", "SSH PORT", "FIRMWARE", "MEMORY", "CPUS", "DISKS"], ...rows];
    const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
    return table
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd(),
      )
      .join("\n");
  },
});

/** One damaged machine must not hide the others. */
function openOrTell(name: string, context: Context): Vm | undefined {
  try {
    return openVm(context.host, name, context.signal);
  } catch (error) {
    if (!isFailure(error, "corrupt")) throw error;
    context.progress.warn(error.message);
    return undefined;
  }
}

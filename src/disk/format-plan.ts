/** formatDiskPlan(): the plan as text, for --dry-run. */
import { SECTOR_BYTES } from "../format/gpt/gpt.ts";
import { type DiskPlan, type DiskStep, gigabytes } from "./plan.ts";

export function formatDiskPlan(plan: DiskPlan): string {
  const { layout } = plan;
  const partitions = layout.gpt.partitions.map((partition) => {
    const sizeBytes = (partition.lastSector - partition.firstSector + 1) * SECTOR_BYTES;
    return `  ${partition.number}  ${partition.name.padEnd(10)}  ${gigabytes(sizeBytes).padStart(9)}  at ${gigabytes(partition.firstSector * SECTOR_BYTES)}`;
  });
  return [
    `Image:   ${plan.image}`,
    `Id:      ${plan.id}`,
    `Kernel:  ${plan.kernelVersion} (${plan.architecture})`,
    `Follows: ${plan.source}`,
    `Disk:    ${gigabytes(layout.sizeBytes)}, GPT ${layout.gpt.guid}, root UUID ${layout.root.uuid}`,
    ...partitions,
    `Space:   up to ${gigabytes(plan.outputBytes)} beside the result, ${gigabytes(plan.stagingBytes)} beside the store while it is made`,
    "Steps:",
    ...plan.steps.map((step, index) => `  ${String(index + 1).padStart(2)}. ${describeStep(step)}`),
    ...plan.notes.map((note) => `Note: ${note}`),
    "",
  ].join("\n");
}

/** One line, capitalised: what a step does. */
export function describeStep(step: DiskStep): string {
  switch (step.kind) {
    case "stage-repository":
      return "Copy the image into the machine's repository";
    case "install-deployment":
      return `Write the deployment: /etc, /var, kernel, boot entry with ${[...step.rootKargs, ...step.kargs].join(" ")}`;
    case "write-machine-state":
      return `Add machine state: ${stateWords(step).join(", ")}`;
    case "stage-uefi-loader":
      return `Add systemd-boot from the image (${step.loader.from})`;
    case "create-disk":
      return "Create the disk and its partition table";
    case "write-esp":
      return "Write the EFI system partition";
    case "write-root":
      return `Write the root file system, ${step.objectCount} objects with fs-verity`;
    case "write-bios-loader":
      return `Write GRUB ${step.grub.version} for BIOS (modules of the ${step.grub.origin})`;
    case "convert":
      return `Convert to ${step.format}`;
    case "publish":
      return `Put ${step.name} in its place`;
  }
}

function stateWords(step: Extract<DiskStep, { kind: "write-machine-state" }>): readonly string[] {
  return [
    ...(step.hostname === undefined ? [] : [`host name ${step.hostname}`]),
    ...(step.rootKeys ? ["root's SSH keys"] : []),
    ...step.users.map((user) => `user ${user}`),
  ];
}

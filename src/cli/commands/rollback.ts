/** `berth rollback`: boot the other deployment next; a second time undoes it. */
import { openMachine } from "../../deploy/machine.ts";
import { readDeployments } from "../../deploy/deployments.ts";
import { rebootHost } from "../../deploy/reboot.ts";
import { previewRollback } from "../../deploy/preview.ts";
import { applyRollback, checkRollback, planRollback } from "../../deploy/rollback.ts";
import { command } from "../command.ts";
import { printer, refuseSoftReboot } from "./upgrade.ts";

export const rollbackCommand = command({
  name: "rollback",
  summary: "Boot the rollback image next; a second time undoes it",
  description:
    "The default of the boot loader changes at once. What is staged is dropped. /etc is that of the rollback deployment; /var is shared.",
  examples: [
    ["berth rollback && reboot", "return to the image before"],
    ["berth rollback --dry-run", "say what would boot next"],
  ],
  flags: {
    apply: { type: "boolean", summary: "Reboot at once" },
    "soft-reboot": {
      type: "string",
      value: "WHEN",
      choices: ["auto", "required"],
      summary: "Reboot user space only, where the deployment can",
    },
  },
  plans: true,
  run: async (values, _operands, context) => {
    refuseSoftReboot(values["soft-reboot"]);
    const print = printer(context);
    const plan = await (async () => {
      const access = context.dryRun ? "read" : "write";
      using machine = await openMachine(context.host, { access, progress: context.progress });
      const deployments = readDeployments(context.host.files, machine.sysroot);
      const planned = planRollback(deployments);
      if (context.dryRun) {
        checkRollback(machine, planned);
        print(previewRollback(deployments, planned));
      } else {
        applyRollback(machine, planned);
      }
      return planned;
    })();
    if (context.dryRun) {
      if (values.apply) print("--apply: would reboot");
      return { next: plan.next, verity: plan.menu[0]?.id };
    }
    if (plan.next === "current") context.progress.warn("notice: Reverting queued rollback state");
    print(`Next boot: ${plan.next} deployment`);
    if (values.apply) await rebootHost(context.host);
    return { next: plan.next, verity: plan.menu[0]?.id };
  },
  view: () => undefined,
});

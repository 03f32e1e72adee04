/** `berth rollback`: boot the other deployment next; a second time undoes it. */
import { openMachine } from "../../deploy/machine.ts";
import { readDeployments } from "../../deploy/deployments.ts";
import { rebootHost } from "../../deploy/reboot.ts";
import { applyRollback, planRollback } from "../../deploy/rollback.ts";
import { command } from "../command.ts";
import { printer, refuseSoftReboot } from "./upgrade.ts";

export const rollbackCommand = command({
  name: "rollback",
  summary: "Boot the rollback image next; a second time undoes it",
  description:
    "The default of the boot loader changes at once. What is staged is dropped. /etc is that of the rollback deployment; /var is shared.",
  examples: [["berth rollback && reboot", "return to the image before"]],
  flags: {
    apply: { type: "boolean", summary: "Reboot at once" },
    "soft-reboot": {
      type: "string",
      value: "WHEN",
      choices: ["auto", "required"],
      summary: "Reboot user space only, where the deployment can",
    },
  },
  run: async (values, _operands, context) => {
    refuseSoftReboot(values["soft-reboot"]);
    const print = printer(context);
    const plan = await (async () => {
      using machine = await openMachine(context.host, { access: "write", progress: context.progress });
      const planned = planRollback(readDeployments(context.host.files, machine.sysroot));
      applyRollback(machine, planned);
      return planned;
    })();
    if (plan.next === "current") context.progress.warn("notice: Reverting queued rollback state");
    print(`Next boot: ${plan.next} deployment`);
    if (values.apply) await rebootHost(context.host);
    return { next: plan.next, verity: plan.menu[0]?.id };
  },
  view: () => undefined,
});

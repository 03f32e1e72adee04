/** The table of commands: what help, man page, completion and the parser read. */
import type { Command } from "./command.ts";
import { baseBuildCommand } from "./commands/base-build.ts";
import { baseKernelCommand } from "./commands/base-kernel.ts";
import { createCompletionCommand } from "./commands/completion.ts";
import { composefsDigestCommand } from "./commands/composefs-digest.ts";
import { composefsDumpCommand } from "./commands/composefs-dump.ts";
import { composefsMkimageCommand } from "./commands/composefs-mkimage.ts";
import { internalFinalizeCommand } from "./commands/internal-finalize.ts";
import { loginCommand } from "./commands/login.ts";
import { logoutCommand } from "./commands/logout.ts";
import { createManCommand } from "./commands/man.ts";
import { pullCommand } from "./commands/pull.ts";
import { pushCommand } from "./commands/push.ts";
import { registryInitCommand } from "./commands/registry-init.ts";
import { registryServeCommand } from "./commands/registry-serve.ts";
import { rollbackCommand } from "./commands/rollback.ts";
import { statusCommand } from "./commands/status.ts";
import { switchCommand } from "./commands/switch.ts";
import { tagCommand } from "./commands/tag.ts";
import { tourCommand } from "./commands/tour.ts";
import { upgradeCommand } from "./commands/upgrade.ts";
import { usrOverlayCommand } from "./commands/usr-overlay.ts";
import { vmConsoleCommand } from "./commands/vm-console.ts";
import { vmListCommand } from "./commands/vm-list.ts";
import { vmRemoveCommand } from "./commands/vm-remove.ts";
import { vmRunCommand } from "./commands/vm-run.ts";
import { vmSnapshotCommand, vmRestoreCommand } from "./commands/vm-snapshot.ts";
import { vmSshCommand } from "./commands/vm-ssh.ts";
import { vmStopCommand } from "./commands/vm-stop.ts";
import { vmWaitCommand } from "./commands/vm-wait.ts";

export const commands: readonly Command[] = [
  tourCommand,
  baseBuildCommand,
  baseKernelCommand,
  tagCommand,
  registryInitCommand,
  registryServeCommand,
  loginCommand,
  logoutCommand,
  pushCommand,
  pullCommand,
  vmRunCommand,
  vmListCommand,
  vmSshCommand,
  vmConsoleCommand,
  vmWaitCommand,
  vmStopCommand,
  vmSnapshotCommand,
  vmRestoreCommand,
  vmRemoveCommand,
  statusCommand,
  upgradeCommand,
  switchCommand,
  rollbackCommand,
  usrOverlayCommand,
  internalFinalizeCommand,
  composefsDigestCommand,
  composefsDumpCommand,
  composefsMkimageCommand,
  createCompletionCommand(() => commands),
  createManCommand(() => commands),
];

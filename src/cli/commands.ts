/** The table of commands: what help, man page, completion and the parser read. */
import type { Command } from "./command.ts";
import { baseBuildCommand } from "./commands/base-build.ts";
import { baseKernelCommand } from "./commands/base-kernel.ts";
import { buildCommand } from "./commands/build.ts";
import { copyCommand } from "./commands/copy.ts";
import { completionCommand } from "./commands/completion.ts";
import { composefsDigestCommand } from "./commands/composefs-digest.ts";
import { composefsDumpCommand } from "./commands/composefs-dump.ts";
import { composefsMkimageCommand } from "./commands/composefs-mkimage.ts";
import { containerLintCommand } from "./commands/container-lint.ts";
import { containerfileCheckCommand } from "./commands/containerfile-check.ts";
import { deltaCreateCommand } from "./commands/delta-create.ts";
import { diskCommand } from "./commands/disk.ts";
import { execCommand } from "./commands/exec.ts";
import { generateKeyPairCommand } from "./commands/generate-key-pair.ts";
import { historyCommand } from "./commands/history.ts";
import { imageExportCommand } from "./commands/image-export.ts";
import { imageImportCommand } from "./commands/image-import.ts";
import { imagesCommand } from "./commands/images.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { createInternalCompleteCommand } from "./commands/internal-complete.ts";
import { internalFinalizeCommand } from "./commands/internal-finalize.ts";
import { internalSuperviseCommand } from "./commands/internal-supervise.ts";
import { killCommand } from "./commands/kill.ts";
import { loginCommand } from "./commands/login.ts";
import { logoutCommand } from "./commands/logout.ts";
import { logsCommand } from "./commands/logs.ts";
import { createManCommand } from "./commands/man.ts";
import { psCommand } from "./commands/ps.ts";
import { pullCommand } from "./commands/pull.ts";
import { pushCommand } from "./commands/push.ts";
import { registryCheckCommand } from "./commands/registry-check.ts";
import { registryDeltaCommand } from "./commands/registry-delta.ts";
import { registryGcCommand } from "./commands/registry-gc.ts";
import { registryInitCommand } from "./commands/registry-init.ts";
import { registryServeCommand } from "./commands/registry-serve.ts";
import { registrySyncCommand } from "./commands/registry-sync.ts";
import { registryTokenCreateCommand } from "./commands/registry-token-create.ts";
import { registryTokenListCommand } from "./commands/registry-token-list.ts";
import { registryTokenRevokeCommand } from "./commands/registry-token-revoke.ts";
import { registryUserAddCommand } from "./commands/registry-user-add.ts";
import { registryUserListCommand } from "./commands/registry-user-list.ts";
import { registryUserPasswdCommand } from "./commands/registry-user-passwd.ts";
import { registryUserRemoveCommand } from "./commands/registry-user-remove.ts";
import { rmCommand } from "./commands/rm.ts";
import { rmiCommand } from "./commands/rmi.ts";
import { rollbackCommand } from "./commands/rollback.ts";
import { runCommand } from "./commands/run.ts";
import { signCommand } from "./commands/sign.ts";
import { statusCommand } from "./commands/status.ts";
import { stopCommand } from "./commands/stop.ts";
import { storeFsckCommand } from "./commands/store-fsck.ts";
import { storeGcCommand } from "./commands/store-gc.ts";
import { switchCommand } from "./commands/switch.ts";
import { tagCommand } from "./commands/tag.ts";
import { tourCommand } from "./commands/tour.ts";
import { upgradeCommand } from "./commands/upgrade.ts";
import { usrOverlayCommand } from "./commands/usr-overlay.ts";
import { verifyCommand } from "./commands/verify.ts";
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
  buildCommand,
  imagesCommand,
  historyCommand,
  tagCommand,
  rmiCommand,
  imageImportCommand,
  imageExportCommand,
  containerfileCheckCommand,
  containerLintCommand,
  runCommand,
  psCommand,
  execCommand,
  logsCommand,
  stopCommand,
  killCommand,
  rmCommand,
  inspectCommand,
  registryDeltaCommand,
  registryGcCommand,
  registryCheckCommand,
  registryInitCommand,
  registryServeCommand,
  registrySyncCommand,
  registryUserAddCommand,
  registryUserListCommand,
  registryUserPasswdCommand,
  registryUserRemoveCommand,
  registryTokenCreateCommand,
  registryTokenListCommand,
  registryTokenRevokeCommand,
  loginCommand,
  logoutCommand,
  pushCommand,
  deltaCreateCommand,
  pullCommand,
  copyCommand,
  signCommand,
  verifyCommand,
  generateKeyPairCommand,
  diskCommand,
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
  createInternalCompleteCommand(() => commands),
  internalFinalizeCommand,
  storeGcCommand,
  storeFsckCommand,
  composefsDigestCommand,
  composefsDumpCommand,
  composefsMkimageCommand,
  internalSuperviseCommand,
  completionCommand,
  createManCommand(() => commands),
];

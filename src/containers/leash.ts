/**
 * leashed(): a program that cannot outlive us. It is the first process of a process namespace whose parent the kernel kills when we
 * end, by whatever signal; with its first process the namespace goes, and all that runs in it, containers below it too.
 *
 * The program sees its own /proc, and no process that is not its own. It is ended with SIGKILL: unshare(1) blocks SIGTERM.
 *
 * @see pid_namespaces(7); PR_SET_PDEATHSIG in prctl(2)
 */
export function leashed(argv: readonly string[]): string[] {
  return ["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", ...argv];
}

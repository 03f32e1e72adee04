/** `berth vm ssh`: a command or a shell in a virtual machine. */
import { Failure } from "../../core/failure.ts";
import { showsSsh } from "../../vm/console.ts";
import { openVm } from "../../vm/machine.ts";
import { sshArgv } from "../../vm/ssh.ts";
import { command } from "../command.ts";
import { endWith } from "../end-with.ts";
import { readSeconds } from "./vm-wait.ts";

export const vmSshCommand = command({
  name: "vm ssh",
  summary: "Run a command in a virtual machine, or open a shell",
  description:
    "Waits until the machine lets in. The words after -- are joined with blanks and run by the machine's shell, as ssh does;\n" +
    "the exit status is the command's.",
  flags: {
    user: { type: "string", value: "NAME", default: "root", summary: "Who to log in as" },
    identity: { type: "string", short: "i", value: "FILE", summary: "Private key" },
    timeout: { type: "string", value: "SECONDS", default: "300", summary: "How long to wait for ssh" },
  },
  operands: [
    { name: "NAME", summary: "The machine" },
    { name: "COMMAND", summary: "What to run; a shell without it", optional: true, many: true },
  ],
  examples: [
    ["berth vm ssh web -i key -- systemctl is-system-running", "run a command"],
    ["berth vm ssh web -i key", "open a shell"],
  ],
  async run(values, [name = "", ...words], context) {
    const { host, signal, progress } = context;
    const timeoutMs = readSeconds(values.timeout);
    const vm = openVm(host, name, signal);
    const port = await vm.sshPort();
    if (!showsSsh(vm.console())) {
      const task = progress.task(`Waiting for ssh of VM ${name}`);
      const startedMs = host.clock.elapsed();
      await vm.waitForSsh({ timeoutMs });
      task.done(`ssh of VM ${name} is up after ${((host.clock.elapsed() - startedMs) / 1000).toFixed(0)} s`);
    }
    const argv = sshArgv(
      { port, user: values.user, key: values.identity, share: vm.directory },
      words.length === 0 ? undefined : words.join(" "),
    );
    const child = host.spawn(argv, { stdin: "inherit", stdout: "inherit", stderr: "inherit" });
    signal.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
    const { exitCode, signal: endedBy } = await child.ended;
    if (endedBy !== undefined) {
      throw new Failure("exec-failed", `Cannot run the command on VM "${name}": ssh was ended by ${endedBy}`);
    }
    // ssh and the command have said what there is to say.
    if (exitCode !== 0) endWith(exitCode);
  },
});

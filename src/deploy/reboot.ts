/** rebootHost(): asks systemd for a reboot; the staged deployment is finalised on the way down. */
import type { Host } from "../host/host.ts";

export async function rebootHost(host: Pick<Host, "exec">): Promise<void> {
  await host.exec(["systemctl", "reboot", "--message=Initiated by berth"], { timeoutMs: 60_000 });
}

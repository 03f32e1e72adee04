/** `berth registry serve`: serves until it is told to stop. */
import { textToByteName } from "../../core/bytes.ts";
import { silent } from "../../core/progress.ts";
import { listenFlag } from "../../registry/config/listen.ts";
import { startRegistry } from "../../registry/serve.ts";
import { command } from "../command.ts";
import { connectUpstream } from "../registry-upstream.ts";
import { planUpgradeCost } from "../registry-upgrade-cost.ts";
import { remoteContext } from "../remote-flags.ts";

export const registryServeCommand = command({
  name: "registry serve",
  summary: "Serve a registry over the OCI distribution protocol",
  description:
    "Serves what `berth registry init` made until SIGTERM or Ctrl-C; running requests end first. Requests are logged on stderr.",
  flags: {
    listen: {
      type: "string",
      value: "HOST:PORT",
      summary: "Address, instead of the configuration's; port 0 picks a free one",
    },
    quiet: { type: "boolean", short: "q", summary: "Do not log requests" },
  },
  operands: [{ name: "DIR", summary: "the registry's folder" }],
  async run(values, [directory = ""], context) {
    const listen = values.listen === undefined ? undefined : listenFlag(values.listen);
    const client = remoteContext(context, { authfile: undefined });
    await using registry = await startRegistry(context.host, textToByteName(directory), {
      listen,
      progress: context.progress,
      connectUpstream: (options) => connectUpstream(client, options),
      planUpgrade: planUpgradeCost({ ...client, progress: silent }),
    });

    context.print(`Serving ${directory} on ${registry.url}\n`);
    if (registry.metricsUrl !== undefined) context.print(`Metrics on ${registry.metricsUrl}\n`);
    const { signal } = context;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    context.progress.say("Stopping");
  },
});

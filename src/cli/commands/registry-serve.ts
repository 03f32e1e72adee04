/** `berth registry serve`: serves until it is told to stop. */
import { textToByteName } from "../../core/bytes.ts";
import { silent } from "../../core/progress.ts";
import { listenFlag } from "../../registry/config/listen.ts";
import { programArgv } from "../../host/program.ts";
import type { MakeDeltas } from "../../registry/operations/delta-jobs.ts";
import { startRegistry } from "../../registry/serve.ts";
import { command, type Context } from "../command.ts";
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
    // A stop lets running requests end, and some of them wait for another registry.
    const ended = new AbortController();
    using _ended = { [Symbol.dispose]: () => ended.abort() };
    const client = remoteContext({ ...context, signal: ended.signal }, { authfile: undefined });
    await using registry = await startRegistry(context.host, textToByteName(directory), {
      listen,
      progress: context.progress,
      connectUpstream: (options) => connectUpstream(client, options),
      planUpgrade: planUpgradeCost({ ...client, progress: silent }),
      makeDeltas: deltasInBackground(context, directory),
    });

    context.print(`Serving ${directory} on ${registry.url}\n`);
    if (registry.metricsUrl !== undefined) context.print(`Metrics on ${registry.metricsUrl}\n`);
    const { signal } = context;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    context.progress.say("Stopping");
  },
});

const DELTAS_MAX_MS = 4 * 3600 * 1000;

/** A process of its own, which yields to the server's: it takes gigabytes and minutes, and a push must notice nothing. */
function deltasInBackground({ host, progress }: Pick<Context, "host" | "progress">, directory: string): MakeDeltas {
  return async ({ repository, digest }, { count, keepXz, signal }) => {
    const image = `${repository}@${digest}`;
    const argv = [
      "nice",
      "-n",
      "19",
      ...programArgv(),
      "registry",
      "delta",
      "--progress",
      "none",
      "--from",
      String(count),
      ...(keepXz ? ["--keep-xz"] : []),
      directory,
      image,
    ];
    const { stdout } = await host.exec(argv, { signal, timeoutMs: DELTAS_MAX_MS });
    for (const line of stdout.toString("utf8").split("\n")) if (line !== "") progress.say(`Delta to ${image}: ${line}`);
  };
}

/** The command from its start to the signal that stops it, over real sockets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../../core/bytes.ts";
import { digestOf } from "../../core/digest.ts";
import type { HttpHandler } from "../../host/host.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { runProgram } from "../run-command.ts";
import { registryServeCommand } from "./registry-serve.ts";

const host = createLinuxHost();

test("a stop lets a client have the whole of what is still coming from an upstream", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-serve-test-`);
  const halves = [Buffer.alloc(100_000, "one"), Buffer.alloc(100_000, "two")] as const;
  const blob = Buffer.concat(halves);
  const rest = Promise.withResolvers<void>();
  const answer: HttpHandler = async ({ method, url }) => {
    const size = new URL(url).pathname === "/v2/" ? 0 : blob.length;
    const body = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield halves[0];
      await rest.promise;
      yield halves[1];
    };
    const headers = new Map([["content-length", String(size)]]);
    return { status: 200, headers, body: size === 0 || method === "HEAD" ? null : body() };
  };
  await using upstream = await host.network.serve(answer, { host: "127.0.0.1", port: 0 });
  const configuration = [
    'listen = "127.0.0.1:0"\n[storage]\ndriver = "files"\ndirectory = "data"',
    `[[upstream]]\nprefix = "hub"\nlocation = "127.0.0.1:${upstream.port}"\ninsecure = true`,
  ];
  host.files.write(`${directory.path}/registry.toml`, configuration.join("\n"));

  const stop = new AbortController();
  const started = Promise.withResolvers<string>();
  const stopping = Promise.withResolvers<void>();
  const status = runProgram(["registry", "serve", directory.path], [registryServeCommand], {
    host,
    signal: stop.signal,
    version: "0",
    terminal: {
      stdout: (text) => started.resolve(/http:\S+/.exec(text)?.[0] ?? ""),
      stderr: (text) => void (text.includes("Stopping") && stopping.resolve()),
      stdoutIsTerminal: false,
      stdinIsTerminal: false,
      stderrColumns: undefined,
      readStdin: async () => "",
      ask: async () => "",
    },
  });
  const url = `${await started.promise}/v2/hub/os/blobs/${digestOf(blob)}`;
  const { body } = await host.network.request({ method: "GET", url });
  stop.abort();
  await stopping.promise;
  rest.resolve();
  assert.deepEqual(await collectBytes(body), blob);
  assert.equal(await status, 0);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import type { Connection } from "../host/host.ts";
import { attachConsole } from "./attach.ts";

const signal = new AbortController().signal;

test("attachConsole() without a terminal shows the past, then what comes, until the machine ends", async () => {
  const euro = Buffer.from("€");
  const connection: Connection = {
    input: streamOf(Buffer.from("live "), euro.subarray(0, 1), euro.subarray(1)),
    write: () => Promise.reject(new Error("nobody typed")),
    close() {},
    [Symbol.dispose]() {},
  };
  const host = createFakeHost({
    files: { "/run/berth/vm/web/console.log": "past\r\n" },
    network: {
      connect: (target) => ("unix" in target && target.unix.endsWith("/web/console.sock") ? connection : undefined),
    },
  });
  let shown = "";
  const print = (text: string): void => void (shown += text);
  assert.equal(await attachConsole(host, "web", { print, stdinIsTerminal: false, history: true, signal }), "ended");
  assert.equal(shown, "past\nlive €");
});

test("attachConsole() says when nobody listens", async () => {
  const options = { print() {}, stdinIsTerminal: false, history: false, signal };
  await assert.rejects(attachConsole(createFakeHost(), "web", options), (error) => isFailure(error, "network"));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost, type FakeHost } from "../host/fake.ts";
import type { Connection } from "../host/host.ts";
import { monitorCommand, parseForwards, runQmp } from "./qmp.ts";

/** A QEMU that greets and answers each command by `answers`; what is undefined ends the connection. */
function fakeQemu(answers: Readonly<Record<string, string | undefined>>): { host: FakeHost; heard: string[] } {
  const heard: string[] = [];
  const connect = (): Connection => {
    const queue: string[] = ['{"QMP": {"version": {}}}\r\n'];
    let wake = (): void => {};
    let ended = false;
    return {
      input: {
        async *[Symbol.asyncIterator]() {
          while (!ended || queue.length > 0) {
            const next = queue.shift();
            if (next !== undefined) yield Buffer.from(next);
            else await new Promise<void>((resolve) => (wake = resolve));
          }
        },
      },
      async write(bytes) {
        const command: { execute: string } = JSON.parse(String(bytes));
        heard.push(command.execute);
        const answer = command.execute === "qmp_capabilities" ? '{"return": {}}\r\n' : answers[command.execute];
        if (answer === undefined) ended = true;
        else queue.push(answer);
        wake();
      },
      close() {},
      [Symbol.dispose]() {},
    };
  };
  return { host: createFakeHost({ network: { connect } }), heard };
}

const options = { timeoutMs: 5000 };

test("runQmp() negotiates, skips events and returns the answers in order", async () => {
  const { host, heard } = fakeQemu({ stop: '{"event": "STOP"}\r\n{"return": 1}\r\n', cont: '{"return": "x"}\r\n' });
  assert.deepEqual(await runQmp(host, "/q", { ...options, commands: [{ execute: "stop" }, { execute: "cont" }] }), [
    1,
    "x",
  ]);
  assert.deepEqual(heard, ["qmp_capabilities", "stop", "cont"]);
});

test("runQmp() reports a refusal, a closed connection and nobody listening", async () => {
  const refusing = fakeQemu({ quit: '{"error": {"class": "GenericError", "desc": "not now"}}\r\n' });
  await assert.rejects(
    runQmp(refusing.host, "/q", { ...options, commands: [{ execute: "quit" }] }),
    /Cannot run QEMU command "quit": not now/,
  );
  const closing = fakeQemu({});
  await assert.rejects(runQmp(closing.host, "/q", { ...options, commands: [{ execute: "quit" }] }), (error) =>
    isFailure(error, "network"),
  );
  await assert.rejects(runQmp(createFakeHost(), "/q", { ...options, commands: [] }), (error) =>
    isFailure(error, "network"),
  );
});

test("monitorCommand() wraps a line of the human monitor", () => {
  assert.deepEqual(monitorCommand("info usernet"), {
    execute: "human-monitor-command",
    arguments: { "command-line": "info usernet" },
  });
});

test("parseForwards() reads the forwarded ports and nothing else", () => {
  const text = [
    "Hub -1 (net0):",
    "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ",
    "  TCP[HOST_FORWARD]   8       127.0.0.1 42735       10.0.2.15    22     0     0",
    "  TCP[HOST_FORWARD]   3       127.0.0.1 44135       10.0.2.15    80     0     0",
    "  TCP[ESTABLISHED]   11       127.0.0.1 42735       10.0.2.15    22     0     0",
    "  UDP[236 sec]        9       10.0.2.15 68       10.0.2.2    67     0     0",
  ].join("\r\n");
  assert.deepEqual(
    [...parseForwards(text)],
    [
      [22, 42735],
      [80, 44135],
    ],
  );
  assert.equal(parseForwards("").size, 0);
});

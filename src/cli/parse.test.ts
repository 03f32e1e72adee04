import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { type Command, command } from "./command.ts";
import { parseInvocation } from "./parse.ts";

const table: readonly Command[] = [
  command({
    name: "registry serve",
    summary: "Serve",
    flags: { listen: { type: "string", value: "HOST:PORT", default: "127.0.0.1:5000", summary: "Where" } },
    operands: [{ name: "DIR", summary: "The folder" }],
    run: async () => {},
  }),
  command({
    name: "run",
    summary: "Run",
    passthrough: true,
    flags: {
      detach: { type: "boolean", short: "d", summary: "Detach" },
      publish: { type: "list", short: "p", summary: "Ports" },
      name: { type: "string", summary: "Name" },
    },
    operands: [
      { name: "IMAGE", summary: "The image" },
      { name: "COMMAND", summary: "What to run", optional: true, many: true },
    ],
    run: async () => {},
  }),
  command({
    name: "status",
    aliases: ["stat"],
    summary: "Status",
    flags: { format: { type: "string", choices: ["json", "yaml"], summary: "How" } },
    run: async () => "x",
    view: (value) => value,
  }),
  command({
    name: "completion",
    summary: "Complete",
    flags: {},
    operands: [{ name: "SHELL", summary: "Shell", choices: ["bash", "fish"] }],
    run: async () => {},
  }),
  command({
    name: "switch",
    summary: "Switch",
    flags: {},
    operands: [{ name: "IMAGE", summary: "HOST/NAME[:TAG]" }],
    run: async () => {},
  }),
];

function refusal(...words: string[]): string {
  try {
    parseInvocation(table, words);
  } catch (error) {
    assert.ok(isFailure(error, "usage"), String(error));
    return `${error.message} | ${error.hint ?? ""}`;
  }
  throw new assert.AssertionError({ message: `accepted: ${words.join(" ")}` });
}

test("parseInvocation() finds the longest command name and fills defaults", () => {
  const invocation = parseInvocation(table, ["registry", "serve", "/srv/r"]);
  assert.equal(invocation.command.name, "registry serve");
  assert.deepEqual(invocation.operands, ["/srv/r"]);
  assert.equal(invocation.values["listen"], "127.0.0.1:5000");
});

test("parseInvocation() leaves a container's words untouched", () => {
  const { values, operands } = parseInvocation(table, [
    "run",
    "-d",
    "-p",
    "1:2",
    "-p",
    "3:4",
    "--name=x",
    "img",
    "ls",
    "-l",
    "--name",
    "y",
  ]);
  assert.deepEqual(values["publish"], ["1:2", "3:4"]);
  assert.equal(values["name"], "x");
  assert.deepEqual(operands, ["img", "ls", "-l", "--name", "y"]);
});

test("parseInvocation() knows aliases and global flags", () => {
  const { command: found, global } = parseInvocation(table, ["stat", "--json", "--progress", "none"]);
  assert.equal(found.name, "status");
  assert.deepEqual([global.json, global.progress], [true, "none"]);
});

test("parseInvocation() reads flags that are declared as no-…", () => {
  const builder = [
    command({
      name: "build",
      summary: "Build",
      flags: { "no-cache": { type: "boolean", summary: "run all" } },
      run: async () => undefined,
    }),
  ];
  assert.equal(parseInvocation(builder, ["build", "--no-cache"]).values["no-cache"], true);
  assert.equal(parseInvocation(builder, ["build"]).values["no-cache"], false);
});

test("parseInvocation() refuses wrong words and says what is right", () => {
  assert.match(refusal("statsu"), /no such command \| did you mean "status"/);
  assert.match(refusal("registry", "server"), /wanted one of "registry serve"/);
  assert.match(refusal("run", "--detatch", "img"), /unknown flag --detatch \| did you mean --detach/);
  assert.match(refusal("status", "--format", "xml"), /Cannot use --format "xml": wanted one of json, yaml/);
  assert.match(refusal("registry", "serve"), /DIR is missing \(the folder\)/);
  assert.match(refusal("switch"), /IMAGE is missing \(HOST\/NAME/);
  assert.match(refusal("completion", "csh"), /Cannot use SHELL "csh": wanted one of bash, fish/);
  assert.match(refusal("registry", "serve", "a", "b"), /unexpected argument "b"/);
  assert.match(refusal("registry", "serve", "a", "--listen"), /Cannot use --listen: its value is missing \| see/);
  assert.match(
    refusal("registry", "serve", "a", "--listen", "-1"),
    /Cannot use --listen: its value is missing before "-1" \| a value that begins with - is written --listen=-1/,
  );
  assert.match(refusal("run", "-p", "-1", "img"), /its value is missing before "-1" \| .* is written -p-1/);
  assert.match(
    refusal("status", "--format", "json", "--format", "yaml"),
    /Cannot use --format twice: wanted one value/,
  );
  assert.match(refusal("--json", "status"), /Cannot use --json before the command.* \| berth status --json/);
  assert.match(refusal("status", "--json=yes"), /Cannot use --json=yes: --json takes no value/);
});

/**
 * Power cuts: each of upgrade, restaging, finalize, rollback and switch is cut at each of its mutating calls, with nothing kept but
 * what was synced. After that the machine must boot the old deployment or the new one, `status` must work, and the same command,
 * given again, must do its work.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compareBytes } from "../core/bytes.ts";
import { silent } from "../core/progress.ts";
import { isCrash } from "../host/fake-world.ts";
import { cleanUp } from "./cleanup.ts";
import { finalizeHost } from "./finalize.ts";
import { MENU } from "./layout.ts";
import { readMenu } from "./menu.ts";
import { readDeployments } from "./deployments.ts";
import { readHostStatus } from "./read-status.ts";
import { applyRollback, planRollback } from "./rollback.ts";
import { createTestMachine, makeImage, REFERENCE, type TestImage, type TestMachine } from "./test-machine.ts";
import { update } from "./update.ts";

const ONE = await makeImage({ version: "1" });
const TWO = await makeImage({ version: "2", kernel: "two" });
const THREE = await makeImage({ version: "3", id: "ubuntu", files: { "etc/new": "3\n" } });
const OTHER = "registry.example.com:5000/other:3";

async function stage(machine: TestMachine, image: TestImage, reference = REFERENCE): Promise<void> {
  machine.images.set(reference, image);
  using open = await machine.open();
  await update(open, machine.source, {
    spec: { transport: "registry", image: reference },
    downloadOnly: false,
    signal: new AbortController().signal,
    print: () => {},
  });
}

async function rollBack(machine: TestMachine): Promise<void> {
  using open = await machine.open();
  applyRollback(open, planRollback(readDeployments(open.host.files, open.sysroot)));
}

const finalize = async (machine: TestMachine): Promise<unknown> => finalizeHost(machine.host, silent);

interface Flow {
  readonly name: string;
  /** Brings the machine to where the command starts. */
  readonly prepare: (machine: TestMachine) => Promise<void>;
  readonly command: (machine: TestMachine) => Promise<unknown>;
  /** Given after the power cut, when `command` alone no longer does. */
  readonly again?: (machine: TestMachine) => Promise<unknown>;
  /** /etc/motd of what may boot after the cut. */
  readonly may: readonly string[];
  /** After the repeated command, finalize and a reboot. */
  readonly must: string;
}

const upgraded = async (machine: TestMachine): Promise<void> => {
  await stage(machine, TWO);
  await finalize(machine);
  machine.boot();
};

const FLOWS: readonly Flow[] = [
  { name: "upgrade", prepare: async () => {}, command: (m) => stage(m, TWO), may: ["1"], must: "2" },
  { name: "upgrade with a rollback image", prepare: upgraded, command: (m) => stage(m, THREE), may: ["2"], must: "3" },
  {
    name: "upgrade over a staged one",
    prepare: (m) => stage(m, TWO),
    command: (m) => stage(m, THREE),
    may: ["1"],
    must: "3",
  },
  {
    name: "staging the rollback image again",
    prepare: async (m) => {
      await upgraded(m);
      await rollBack(m);
      m.boot();
    },
    command: (m) => stage(m, TWO),
    may: ["1"],
    must: "2",
  },
  { name: "switch", prepare: upgraded, command: (m) => stage(m, THREE, OTHER), may: ["2"], must: "3" },
  {
    name: "finalize",
    prepare: (m) => stage(m, TWO),
    command: finalize,
    again: (m) => stage(m, TWO),
    may: ["1", "2"],
    must: "2",
  },
  {
    name: "finalize of the rollback image",
    prepare: async (m) => {
      await upgraded(m);
      await rollBack(m);
      m.boot();
      await stage(m, TWO);
    },
    command: finalize,
    again: (m) => stage(m, TWO),
    may: ["1", "2"],
    must: "2",
  },
  {
    name: "rollback",
    prepare: upgraded,
    command: rollBack,
    // A second rollback would undo the first.
    again: async (m) => (motd(m) === "1" ? undefined : await rollBack(m)),
    may: ["1", "2"],
    must: "1",
  },
];

const motd = (machine: TestMachine): string =>
  /\d+/.exec(machine.host.files.readText(`${machine.etc()}/motd`))?.[0] ?? "";

/** Every call is cut with BERTH_CRASH_STRIDE=1; otherwise the ends and a sample, another one for each flow. */
const STRIDE = Number(process.env["BERTH_CRASH_STRIDE"] ?? "37");
const ENDS = 5;

for (const [i, flow] of FLOWS.entries()) {
  test(`power cuts during ${flow.name}`, async () => {
    const calls = await countCalls(flow);
    const points = Array.from({ length: calls }, (_, at) => at + 1).filter(
      (at) => at <= 2 || at > calls - ENDS || (at + i) % STRIDE === 0,
    );
    assert.ok(points.length >= 7, `only ${points.length} cuts in ${calls} calls`);
    for (const at of points) await cutAt(flow, at);
  });
}

async function countCalls(flow: Flow): Promise<number> {
  const machine = await createTestMachine(ONE);
  await flow.prepare(machine);
  const before = machine.host.calls.length;
  await flow.command(machine);
  return machine.host.calls.length - before;
}

async function cutAt(flow: Flow, at: number): Promise<void> {
  // Mostly nothing survives but what was synced; sometimes a prefix of the journal does.
  const machine = await createTestMachine(ONE, { durability: at % 3 === 0 ? "seeded" : "pessimistic", seed: at });
  await flow.prepare(machine);
  const { host } = machine;
  host.files.write(`${machine.etc()}/hostname`, "mine\n");
  host.files.syncFileSystem("/");
  const when = at % 2 === 0 ? "after" : "before";
  host.crashAt(at, when);
  try {
    await flow.command(machine);
  } catch (error) {
    if (!isCrash(error)) throw error;
  }
  const where = `cut ${when} call ${at} (${host.calls.at(-1) ?? ""})`;
  machine.boot();
  assert.ok(flow.may.includes(motd(machine)), `${where}: boots ${motd(machine)}`);
  const { status } = (await readHostStatus(host, silent)).host;
  assert.equal(status.booted?.composefs.verity, machine.bootedId(), `${where}: status`);
  await (flow.again ?? flow.command)(machine);
  await finalize(machine);
  machine.boot();
  assert.equal(motd(machine), flow.must, `${where}: after the command was given again`);
  if (flow.must !== "1")
    assert.equal(host.files.readText(`${machine.etc()}/hostname`), "mine\n", `${where}: local state`);
  await assertTidy(machine, where);
}

/** The next command leaves nothing that no menu names. */
async function assertTidy(machine: TestMachine, where: string): Promise<void> {
  {
    using open = await machine.open();
    cleanUp(open, { keepStaged: true });
  }
  const { files } = machine.host;
  const menu = readMenu(files, "/disk/esp", MENU).entries;
  assert.deepEqual(
    files.list("/disk/esp/loader").filter((name) => name.startsWith("entries")),
    ["entries"],
    where,
  );
  assert.deepEqual(files.list("/disk/root/state/deploy"), menu.map(({ id }) => id).sort(), where);
  for (const { id } of menu) assert.deepEqual(files.list(`/disk/root/state/deploy/${id}`).length, 3, where);
  const kernels = new Set(menu.map(({ kernelDirectory }) => kernelDirectory ?? ""));
  assert.deepEqual(files.list("/disk/esp/EFI/Linux"), [...kernels].sort(compareBytes), where);
}

/**
 * Power cuts in a real machine: QEMU is killed in the middle of upgrade, shutdown, switch and rollback. Whatever the moment, the machine
 * boots the old or the new deployment, `status` works, local state is there, and the next upgrade succeeds.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { silent } from "../../src/core/progress.ts";
import type { Host } from "../../src/host/host.ts";
import { createLinuxHost } from "../../src/host/linux.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { type RunningRegistry, startRegistry } from "../../src/registry/serve.ts";
import { startVm, type Vm } from "../../src/vm/machine.ts";

const berth = path.join(import.meta.dirname, "../../berth");
const BASE = "localhost/debian-bootc:12";
const BOOT_MS = 900_000;
const CONSOLE_CHARACTERS = 8000;
const never = new AbortController().signal;

let work: string;
let host: Host;
let registry: RunningRegistry;
let vm: Vm;

async function run(...argv: string[]): Promise<string> {
  const env = Object.fromEntries(
    Object.entries(host.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const { stdout } = await host.exec([berth, "--no-install", ...argv], { timeoutMs: 1_200_000, env });
  return stdout.toString("utf8");
}

/** Runs a shell command in the machine; its output. */
async function inside(script: string): Promise<string> {
  const { stdout } = await vm.ssh(script, { key: path.join(work, "key"), timeoutMs: 600_000 });
  return stdout.toString("utf8").trim();
}

async function buildAndPush(port: number, edition: string): Promise<void> {
  const folder = path.join(work, edition);
  host.files.makeDirectory(folder);
  writeFileSync(path.join(folder, "lab.conf"), `[[registry]]\nlocation = "10.0.2.2:${port}"\ninsecure = true\n`);
  const auth = Buffer.from("lab:lab").toString("base64");
  writeFileSync(
    path.join(folder, "auth.json"),
    JSON.stringify({ auths: { [`10.0.2.2:${port}`]: { auth }, [`127.0.0.1:${port}`]: { auth } } }),
  );
  host.files.copy(path.join(folder, "auth.json"), path.join(work, "auth.json"));
  // Something to download that no registry can shrink.
  const content = `RUN echo ${edition} > /usr/share/edition && head -c 12000000 /dev/urandom > /usr/share/ballast`;
  writeFileSync(
    path.join(folder, "Containerfile"),
    `FROM ${BASE}\nADD lab.conf /etc/containers/registries.conf.d/lab.conf\nADD auth.json /etc/ostree/auth.json\n${content}\n`,
  );
  await run("build", "-q", "-t", `localhost/power:${edition}`, folder);
  await run("push", "--tls-verify=false", `localhost/power:${edition}`, `127.0.0.1:${port}/os:latest`);
}

before(async () => {
  work = mkdtempSync(path.join(tmpdir(), "berth-power-"));
  host = {
    ...createLinuxHost(),
    env: { ...process.env, BERTH_STATE: path.join(work, "state"), REGISTRY_AUTH_FILE: path.join(work, "auth.json") },
  };
  await host.exec(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path.join(work, "key")], { timeoutMs: 30_000 });
  await run("base", "build", "--suite", "bookworm", "-t", BASE);
  await initRegistry(host, path.join(work, "registry"), { user: "lab", password: "lab", hostnames: [], tls: false });
  registry = await startRegistry(host, path.join(work, "registry"), {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
  });
  const port = Number(new URL(registry.url).port);
  await buildAndPush(port, "one");
  await run(
    ...[
      "disk",
      "localhost/power:one",
      "--type",
      "raw",
      "-o",
      path.join(work, "out"),
      "--size",
      "6G",
      "--source",
      `10.0.2.2:${port}/os:latest`,
    ],
    ...[
      "--root-ssh-authorized-keys",
      path.join(work, "key.pub"),
      "--karg",
      "console=ttyS0",
      "--karg",
      "net.ifnames=0",
      "--karg",
      "mitigations=off",
    ],
  );
  await buildAndPush(port, "two");
  vm = await startVm(host, { name: "power", disks: [path.join(work, "out/disk.raw")], signal: never });
  await boots(vm.waitForSsh({ key: path.join(work, "key"), timeoutMs: BOOT_MS }));
  await inside("echo kept > /etc/kept && echo kept > /var/kept && sync");
});

after(async () => {
  await vm?.kill();
  await registry?.close();
  rmSync(work, { recursive: true, force: true });
});

/** A machine that does not come back shows its last words, which end with it. */
async function boots(wait: Promise<unknown>): Promise<void> {
  try {
    await wait;
  } catch (error) {
    console.log(vm.console().slice(-CONSOLE_CHARACTERS));
    throw error;
  }
}

/** Starts `script` in the machine, cuts the power after `delayMs`, boots again. Returns the edition that runs then. */
async function cut(script: string, delayMs: number): Promise<string> {
  await inside(`systemd-run --quiet --collect sh -c '${script}'`);
  await host.clock.sleep(delayMs);
  await vm.kill();
  await vm.start();
  await boots(vm.waitForSsh({ key: path.join(work, "key"), timeoutMs: BOOT_MS }));
  const status: unknown = JSON.parse(await inside("berth status --json"));
  assert.equal(typeof status, "object");
  assert.equal(
    await inside("cat /etc/kept /var/kept"),
    "kept\nkept",
    `local state after a cut at ${delayMs} ms of ${script}`,
  );
  const edition = await inside("cat /usr/share/edition");
  assert.match(edition, /^(one|two)$/, `a cut at ${delayMs} ms of ${script}`);
  return edition;
}

for (const delayMs of [1500, 5000, 11_000]) {
  test(`a power cut ${delayMs} ms into an upgrade leaves the running deployment the default`, async () => {
    assert.equal(await cut("berth upgrade", delayMs), "one");
  });
}

for (const delayMs of [2500, 5000]) {
  test(`a power cut ${delayMs} ms into the reboot after an upgrade leaves the old or the new deployment`, async () => {
    const before = await inside("cat /usr/share/edition");
    await inside("berth upgrade");
    const after = await cut("systemctl reboot", delayMs);
    assert.ok(after === before || after === "two", `${before} before the cut, ${after} after it`);
  });
}

test("after all that an upgrade succeeds", async () => {
  if ((await inside("cat /usr/share/edition")) === "one") {
    await inside("berth upgrade");
    await boots(vm.reboot({ key: path.join(work, "key"), timeoutMs: BOOT_MS }));
  }
  assert.equal(await inside("cat /usr/share/edition"), "two");
  assert.equal(await inside("cat /etc/kept"), "kept");
});

test("a power cut during a rollback leaves one of the two, and a rollback then works", async () => {
  if ((await cut("berth rollback", 1200)) === "two") {
    const queued: unknown = JSON.parse(await inside("berth status --json"));
    if (!JSON.stringify(queued).includes('"rollbackQueued":true')) await inside("berth rollback");
    await boots(vm.reboot({ key: path.join(work, "key"), timeoutMs: BOOT_MS }));
  }
  assert.equal(await inside("cat /usr/share/edition"), "one");
});

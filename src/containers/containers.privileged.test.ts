/** `berth run` and its companions as a user types them. Needs root. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createLinuxHost } from "../host/linux.ts";
import { createWorkstation, type Workstation } from "./testing.ts";

const host = createLinuxHost();
let workstation: Workstation;
const berth: Workstation["berth"] = (...words) => workstation.berth(...words);

before(async () => {
  workstation = await createWorkstation();
});
after(() => workstation[Symbol.asyncDispose]());

test("run takes entrypoint and command from the image, and lets both be replaced", async () => {
  assert.equal((await berth(["run", "--rm", "bb:1"])).text, "default command\n");
  assert.equal((await berth(["run", "--rm", "localhost/bb:1", "my", "--own"])).text, "my --own\n");
  const shell = await berth([
    "run",
    "--rm",
    "--entrypoint",
    "/bin/sh",
    "-e",
    "A=1",
    "-w",
    "/www",
    "-u",
    "web",
    "bb:1",
    "-c",
    "echo $FROM $A; pwd; id -un",
  ]);
  assert.equal(shell.text, "image 1\n/www\nweb\n");
});

test("run ends with the container's exit status, and with podman's where there was no container", async () => {
  const status = async (...words: string[]): Promise<number> => (await berth(["run", "--rm", ...words])).exitCode;
  assert.equal(await status("--entrypoint", "/bin/sh", "bb:1", "-c", "exit 42"), 42);
  assert.equal(await status("--entrypoint", "/nonexistent", "bb:1"), 127);
  assert.equal(await status("--entrypoint", "/etc/passwd", "bb:1"), 126);
  const missing = await berth(["run", "--rm", "localhost/missing:1"]);
  assert.equal(missing.exitCode, 125);
  assert.match(missing.text, /^error: Cannot find image "localhost\/missing:1"/);
  assert.equal((await berth(["ps", "-a", "-q"])).text, "");
});

test("a container that fills the disk ends with its own status, and its record stands in nobody's way", async () => {
  using small = host.files.temporaryDirectory("/var/tmp/berth-small-");
  using full = host.mounts.tmpfs(small.path, { sizeBytes: 8 << 20 });
  const here = { env: { BERTH_STORE: `${full.target}/store` } };
  const layout = `oci:${small.path}-layout:1`;
  try {
    assert.equal((await berth(["image", "export", "bb:1", layout])).exitCode, 0);
    assert.equal((await berth(["image", "import", layout, "-t", "bb:1"], here)).exitCode, 0);
    const fill = ["--entrypoint", "/bin/sh", "bb:1", "-c", "busybox dd if=/dev/zero of=/big bs=1M count=9 || exit 42"];
    for (const rm of [["--rm"], []]) {
      const ended = await berth(["run", ...rm, ...fill], here);
      assert.equal(ended.exitCode, 42, ended.text);
    }
    const refused = await berth(["run", "--rm", "bb:1"], here);
    assert.equal(refused.exitCode, 125);
    assert.match(refused.text, /ENOSPC, no space left on device/);
    assert.equal((await berth(["rm", "--all"], here)).exitCode, 0);
    assert.equal((await berth(["run", "--rm", "bb:1"], here)).text, "default command\n");
  } finally {
    host.files.remove(`${small.path}-layout`);
  }
});

test("run refuses bad options before anything is made", async () => {
  for (const words of [
    ["-p", "x"],
    ["-v", "relative:/x"],
    ["--name", "a b"],
    ["-d", "-t"],
    ["--network", "bridge"],
    ["--network", "host", "-p", "80"],
    ["-u", "nobody"],
  ]) {
    const { exitCode, text } = await berth(["run", "--rm", ...words, "bb:1"]);
    assert.notEqual(exitCode, 0, words.join(" "));
    assert.match(text, /^error: /, words.join(" "));
  }
  assert.equal((await berth(["ps", "-a", "-q"])).text, "");
});

test("run reads our input, mounts volumes, and keeps a read-only root", async () => {
  using directory = host.files.temporaryDirectory("/var/tmp/berth-volume-");
  assert.equal(
    (await berth(["run", "--rm", "-i", "--entrypoint", "cat", "bb:1"], { stdin: "through\n" })).text,
    "through\n",
  );
  const script = "touch /volume/made; touch /root-file || echo refused";
  const { text } = await berth([
    "run",
    "--rm",
    "--read-only",
    "-v",
    `${directory.path}:/volume`,
    "--entrypoint",
    "sh",
    "bb:1",
    "-c",
    script,
  ]);
  assert.match(text, /refused/);
  assert.deepEqual(host.files.list(directory.path), ["made"]);
});

test("a container in the background: ps, published port, exec, logs, inspect, stop", async () => {
  const started = await berth([
    "run",
    "-d",
    "--name",
    "web",
    "-p",
    "127.0.0.1:0:80".replace(":0:", "::"),
    "--entrypoint",
    "httpd",
    "bb:1",
    "-f",
    "-v",
    "-p",
    "80",
    "-h",
    "/www",
  ]);
  assert.match(started.text, /^[0-9a-f]{64}\n$/);
  const [document] = JSON.parse((await berth(["inspect", "web"])).text);
  assert.equal(document.State.Status, "running");
  const port = Number(document.NetworkSettings.Ports["80/tcp"][0].HostPort);
  const response = await host.network.request({ method: "GET", url: `http://127.0.0.1:${port}/` });
  assert.equal(response.status, 200);
  response.discard();
  const table = (await berth(["ps"])).text.split("\n");
  assert.match(table[0] ?? "", /^CONTAINER ID  IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
  assert.match(
    table[1] ?? "",
    new RegExp(`^${started.text.slice(0, 12)}  localhost/bb:1  httpd -f .* Up .*127.0.0.1:${port}->80/tcp  web$`),
  );
  const inside = await berth(["exec", "-u", "web", "-e", "B=2", "web", "sh", "-c", "id -un; echo $FROM$B; exit 5"]);
  assert.deepEqual([inside.text, inside.exitCode], ["web\nimage2\n", 5]);
  assert.equal((await berth(["exec", "web", "no-such-program"])).exitCode, 127);
  assert.match((await berth(["logs", "web"])).text, /response:200/);
  assert.equal((await berth(["rm", "web"])).exitCode, 1);
  assert.equal((await berth(["run", "-d", "--name", "web", "bb:1"])).exitCode, 125);
  assert.equal((await berth(["stop", "-t", "1", "web"])).text, "web\n");
  assert.match((await berth(["ps", "-a"])).text, /Exited \(\d+\) .* web\n/);
  await assert.rejects(host.network.request({ method: "GET", url: `http://127.0.0.1:${port}/` }));
  assert.equal((await berth(["exec", "web", "true"])).exitCode, 125);
  assert.equal((await berth(["rm", "web"])).text, "web\n");
});

test("--rm in the background removes it; kill ends it", async () => {
  await berth(["run", "-d", "--rm", "--name", "short", "--network", "none", "--entrypoint", "sleep", "bb:1", "1000"]);
  assert.equal((await berth(["kill", "short"])).text, "short\n");
  for (let i = 0; i < 100 && (await berth(["ps", "-a", "-q"])).text !== ""; i += 1) await host.clock.sleep(50);
  assert.equal((await berth(["ps", "-a", "-q"])).text, "");
});

test("a container in the background that cannot start says why and leaves nothing", async () => {
  const server = await host.network.serve(async () => new Response(), { host: "127.0.0.1", port: 0 });
  const taken = await berth(["run", "-d", "-p", `127.0.0.1:${server.port}:80`, "bb:1"]);
  await server.close();
  assert.equal(taken.exitCode, 125);
  assert.match(taken.text, /the port is in use/);
  const missing = await berth(["run", "-d", "--network", "host", "--entrypoint", "/nonexistent", "bb:1"]);
  assert.equal(missing.exitCode, 127);
  assert.equal((await berth(["ps", "-a", "-q"])).text, "");
});

test("a killed supervisor leaves a container that is still managed, and nothing mounted", async () => {
  const { text } = await berth(["run", "-d", "--name", "orphan", "--entrypoint", "sleep", "bb:1", "1000"]);
  const supervisor = host.files.list("/proc").find((pid) => {
    const words = host.files.readTextIfAny(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
    return words.includes("supervise") && words.includes(text.trim());
  });
  assert.ok(host.kill(Number(supervisor), "SIGKILL"));
  await host.clock.sleep(200);
  assert.match((await berth(["ps"])).text, /Up .* orphan\n/);
  assert.equal((await berth(["rm", "-f", "orphan"])).text, "orphan\n");
  assert.equal((await berth(["ps", "-a", "-q"])).text, "");
  assert.ok(!host.mounts.list().some(({ target }) => target.startsWith("/run/berth/containers")));
});

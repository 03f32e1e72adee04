/**
 * The story of the tutorial, part by part, with Debian 12 → 13 in place of RHEL 9 → 10: build, test as a container, push, make a
 * disk, boot it, change local state, upgrade, roll back, switch. Each part checks what it promises.
 */
import type { Child } from "../../host/host.ts";
import { buildTutorialImage, ensureBase } from "./build-parts.ts";
import {
  bootMachine,
  copyWithAnsible,
  customize,
  inspectMachine,
  type Machine,
  makeDisk,
  reboot,
  stillCustomized,
  visitPage,
} from "./machine-parts.ts";
import { programWords, retry, type Stage } from "./stage.ts";
import { authJson, IMAGE_12, IMAGE_13, LAB_REGISTRY_CONF, PASSWORD, REGISTRY, USER } from "./texts.ts";

export interface StoryOptions {
  readonly firmware: "uefi" | "bios";
  /** Leaves out the container test, Ansible, the switch to Debian 13 and back. */
  readonly short: boolean;
  readonly mirror: string | undefined;
}

export async function playStory(stage: Stage, options: StoryOptions): Promise<void> {
  const { files } = stage.host;
  files.write(`${stage.folder}/registries.conf`, LAB_REGISTRY_CONF);
  await stage.part("Base images", async () => {
    await ensureBase(stage, "bookworm", "localhost/debian-bootc:12", options.mirror);
    if (!options.short) await ensureBase(stage, "trixie", "localhost/debian-bootc:13", options.mirror);
  });
  await stage.part("Build", () => buildTutorialImage(stage, "first", "localhost/debian-bootc:12", IMAGE_12));
  if (!options.short) await stage.part("Test as a container", () => testAsContainer(stage));
  await using registry = await stage.part("Registry: create, serve, log in, push", () => startRegistry(stage));
  await stage.part("Disk image", () => makeDisk(stage, IMAGE_12));
  await using machine = await stage.part(`Boot a machine (${options.firmware.toUpperCase()})`, () =>
    bootMachine(stage, options.firmware),
  );
  await stage.part("Look around", () => inspectMachine(stage, machine));
  await stage.part("Change local state", () => customize(stage, machine));
  await stage.part("Pull secret", () => (options.short ? copyByHand(stage, machine) : copyWithAnsible(stage, machine)));
  await stage.part("Build and push an update", async () => {
    await buildTutorialImage(stage, "second", "localhost/debian-bootc:12", IMAGE_12);
    await stage.run(["berth", "push", IMAGE_12], { expect: /skipped: already exists/ });
  });
  await stage.part("Upgrade", () => upgrade(stage, machine));
  await stage.part("Roll back", () => rollBack(stage, machine));
  if (!options.short) {
    await stage.part("Upgrade again, without a download", () => upgradeAgain(stage, machine));
    await stage.part("Build and push Debian 13", async () => {
      await buildTutorialImage(stage, "thirteen", "localhost/debian-bootc:13", IMAGE_13);
      await stage.run(["berth", "push", IMAGE_13]);
    });
    await stage.part("Switch to Debian 13", () => switchOver(stage, machine));
    await stage.part("Back to Debian 12", () => backToTwelve(stage, machine));
  }
  await machine.powerOff();
  registry.stop();
}

async function testAsContainer(stage: Stage): Promise<void> {
  await stage.run(["berth", "run", "-d", "--rm", "-p", "127.0.0.1:8080:80", "--name", "mybootc", IMAGE_12], {
    expect: /^[0-9a-f]{64}$/m,
  });
  try {
    await retry(stage, 60, () => stage.quietly(["curl", "-sSf", "--max-time", "5", "http://127.0.0.1:8080"]));
    await stage.run(["curl", "-sSf", "http://127.0.0.1:8080"], { expect: /Debian image mode system/ });
    await stage.run(["berth", "ps"], { expect: /mybootc/ });
  } finally {
    await stage.run(["berth", "stop", "mybootc"], { expect: /^mybootc$/m });
  }
  await stage.run(
    ["sh", "-c", `"$@" | wc -l`, "sh", ...programWords(["berth", "run", "--rm", IMAGE_12, "dpkg", "-l"])],
    {
      shown: `berth run --rm ${IMAGE_12} dpkg -l | wc -l`,
      expect: /^[1-9]\d\d+\s*$/m,
    },
  );
  await stage.run(["berth", "images"], { expect: /debian12-bootc\s+deploy/ });
}

interface RunningRegistry extends AsyncDisposable {
  stop(): void;
}

async function startRegistry(stage: Stage): Promise<RunningRegistry> {
  const folder = `${stage.folder}/registry`;
  stage.host.files.remove(folder);
  const host = REGISTRY.replace(/:\d+$/, "");
  await stage.run(["berth", "registry", "init", folder, "--user", USER, "--password-stdin", "--hostname", host], {
    stdin: PASSWORD,
    shown: `echo -n ${PASSWORD} | berth registry init ${folder} --user ${USER} --password-stdin --hostname ${host}`,
  });
  stage.say(`$ berth registry serve ${folder} --listen 127.0.0.1:5000 &`);
  const log = { file: `${stage.folder}/registry.log` };
  const server = stage.host.spawn(programWords(["berth", "registry", "serve", folder, "--listen", "127.0.0.1:5000"]), {
    stdout: log,
    stderr: log,
  });
  const stop = (): void => server.kill("SIGTERM");
  try {
    await retry(stage, 30, () =>
      stage.quietly(["curl", "-sk", "--max-time", "2", "-o", "/dev/null", `https://${REGISTRY}/v2/`]),
    );
    await stage.run(["berth", "login", "--username", USER, "--password-stdin", REGISTRY], {
      stdin: PASSWORD,
      shown: `echo -n ${PASSWORD} | berth login --username ${USER} --password-stdin ${REGISTRY}`,
      expect: /Login Succeeded!/,
    });
    await stage.run(["berth", "push", IMAGE_12], { expect: /Writing manifest to image destination/ });
  } catch (error) {
    stop();
    throw error;
  }
  return { stop, [Symbol.asyncDispose]: () => ended(server, stop) };
}

async function ended(server: Child, stop: () => void): Promise<void> {
  stop();
  await server.ended;
}

async function copyByHand(stage: Stage, machine: Machine): Promise<void> {
  await machine.put("/etc/ostree/auth.json", authJson(USER, PASSWORD));
  await machine.put("/etc/containers/registries.conf.d/001-labregistry.conf", LAB_REGISTRY_CONF);
  await machine.run("ls -l /etc/ostree /etc/containers/registries.conf.d");
  stage.check("the pull secret is there", (await machine.quietly("cat /etc/ostree/auth.json")).includes(REGISTRY));
}

async function upgrade(stage: Stage, machine: Machine): Promise<void> {
  await machine.run("berth status", {
    expect: [
      /^No staged image present$/m,
      /^Current booted image: podman\.example\.com:5000\/debian12-bootc:deploy$/m,
      /^No rollback image present$/m,
    ],
  });
  await machine.run("berth upgrade --check", {
    expect: [/^Update available for: docker:\/\/podman\.example\.com:5000\/debian12-bootc:deploy$/m, /Digest: sha256:/],
  });
  await machine.run("berth upgrade", { expect: [/layers already present: [1-9]/, /^Queued for next boot: /m] });
  await machine.run("berth status", { expect: /^Current staged image: /m });
  await machine.quietly("echo changed after staging > /etc/after-staging");
  await reboot(stage, machine);
  await machine.run("berth status", { expect: [/^No staged image present$/m, /^Current rollback image: /m] });
  await machine.run("command -v htop", { expect: /^\/usr\/bin\/htop$/m });
  await visitPage(stage);
  await machine.run("cat /etc/after-staging", { expect: /changed after staging/ });
  await stillCustomized(stage, machine);
}

async function rollBack(stage: Stage, machine: Machine): Promise<void> {
  const before = await digests(machine);
  await machine.run("berth rollback", { expect: /^Next boot: rollback deployment$/m });
  await reboot(stage, machine);
  await machine.run("berth status");
  const after = await digests(machine);
  stage.check(
    "booted and rollback have swapped",
    before.booted === after.rollback && before.rollback === after.booted && before.booted !== before.rollback,
  );
  await machine.run("command -v htop || echo not here", { expect: /^not here$/m });
  await visitPage(stage);
  await stillCustomized(stage, machine);
}

async function upgradeAgain(stage: Stage, machine: Machine): Promise<void> {
  await machine.run("berth upgrade --check", { expect: /^No changes in: docker:\/\//m });
  await machine.run("berth upgrade", {
    expect: [/^No changes in .* => sha256:/m, /^\s*(Deploying: done .*)?Queued for next boot: /m],
    refuse: /Fetched layers: [1-9]/,
  });
  await machine.run("berth status", { expect: /^Current staged image: /m });
  stage.check("nothing was fetched", true);
}

async function switchOver(stage: Stage, machine: Machine): Promise<void> {
  await machine.run(`berth switch ${IMAGE_13}`, {
    expect: /^Queued for next boot: podman\.example\.com:5000\/debian13-bootc:latest$/m,
  });
  await reboot(stage, machine);
  await machine.run("head -2 /etc/os-release", { expect: /Debian GNU\/Linux 13/ });
  await machine.run("berth status", { expect: [/debian13-bootc:latest/, /debian12-bootc:deploy/] });
  await stillCustomized(stage, machine);
}

async function backToTwelve(stage: Stage, machine: Machine): Promise<void> {
  await machine.run("berth rollback", { expect: /^Next boot: rollback deployment$/m });
  await reboot(stage, machine);
  await machine.run("head -2 /etc/os-release", { expect: /Debian GNU\/Linux 12/ });
  await stillCustomized(stage, machine);
}

async function digests(machine: Machine): Promise<{ booted: string; rollback: string }> {
  const status: unknown = JSON.parse(await machine.quietly("berth status --json"));
  const digest = (slot: string): string => {
    const found = ["status", slot, "image", "imageDigest"].reduce<unknown>(
      (value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined),
      status,
    );
    return typeof found === "string" ? found : "";
  };
  return { booted: digest("booted"), rollback: digest("rollback") };
}

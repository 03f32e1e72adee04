/** The commands of a machine, words in and text out, on the fake host with a registry of three answers. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { parse } from "yaml";
import {
  createTestMachine,
  fingerprint,
  imageDigest,
  makeImage,
  REFERENCE,
  type TestImage,
  type TestMachine,
} from "../../deploy/test-machine.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { MANIFEST } from "../../oci/media-types.ts";
import { type Printed, runWords } from "../testing.ts";
import { internalFinalizeCommand } from "./internal-finalize.ts";
import { rollbackCommand } from "./rollback.ts";
import { statusCommand } from "./status.ts";
import { switchCommand } from "./switch.ts";
import { upgradeCommand } from "./upgrade.ts";
import { usrOverlayCommand } from "./usr-overlay.ts";

const COMMANDS = [
  statusCommand,
  upgradeCommand,
  switchCommand,
  rollbackCommand,
  internalFinalizeCommand,
  usrOverlayCommand,
];
const ONE = await makeImage({ version: "1" });
const TWO = await makeImage({ version: "2", kernel: "two" });

const run = (host: FakeHost, line: string): Promise<Printed> => runWords(host, COMMANDS, line.split(" "));

/** A machine whose registry offers what `offers` holds, by path below /v2/. */
async function machineWithRegistry(): Promise<{ machine: TestMachine; offers: Map<string, Uint8Array<ArrayBuffer>> }> {
  const offers = new Map<string, Uint8Array<ArrayBuffer>>();
  const respond = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/v2/") return new Response("{}");
    const body = offers.get(pathname.replace(/^\/v2\//, ""));
    if (body === undefined)
      return new Response(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "unknown" }] }), {
        status: 404,
      });
    return new Response(body, { headers: pathname.includes("/manifests/") ? { "content-type": MANIFEST } : {} });
  };
  const machine = await createTestMachine(ONE, { network: { respond } });
  return { machine, offers };
}

function offer(offers: Map<string, Uint8Array<ArrayBuffer>>, image: TestImage, name = "os", tag = "1"): void {
  offers.set(`${name}/manifests/${tag}`, new Uint8Array(image.manifestBytes));
  offers.set(`${name}/blobs/${image.manifest.config.digest}`, new Uint8Array(image.configBytes));
  for (const { tar, diffId } of image.layers) offers.set(`${name}/blobs/${diffId}`, new Uint8Array(tar));
}

test("upgrade, status, rollback and switch, as typed", async () => {
  const { machine, offers } = await machineWithRegistry();
  offer(offers, TWO);
  const checked = await run(machine.host, "upgrade --check");
  assert.equal(checked.status, 0, checked.err);
  assert.match(
    checked.out,
    /^Update available for: docker:\/\/registry\.example\.com:5000\/os:1\n  Version: 2\n  Digest: sha256:/,
  );
  const upgraded = await run(machine.host, "update --quiet");
  assert.equal(upgraded.status, 0, upgraded.err);
  assert.match(
    upgraded.out,
    /^layers already present: 0; layers needed: 2 [^]*^Queued for next boot: registry\.example\.com:5000\/os:1$/m,
  );
  assert.match((await run(machine.host, "status")).out, /^Current staged image: /);
  assert.match((await run(machine.host, "composefs-finalize-staged")).out, /^Deployment [0-9a-f]{128} boots next\n$/);
  machine.boot();

  const json = await run(machine.host, "status --json");
  const host = JSON.parse(json.out);
  assert.equal(host.apiVersion, "org.containers.bootc/v1");
  assert.equal(host.status.booted.image.imageDigest, imageDigest(TWO));
  assert.deepEqual(JSON.parse((await run(machine.host, "status --format=json")).out), host);
  assert.deepEqual(parse((await run(machine.host, "status --format yaml --format-version 0")).out), host);
  const booted = JSON.parse((await run(machine.host, "status --booted --json")).out);
  assert.equal(booted.status.rollback, null);

  assert.equal((await run(machine.host, "rollback")).out, "Next boot: rollback deployment\n");
  const back = await run(machine.host, "rollback --json");
  assert.match(back.err, /Reverting queued rollback state/);
  assert.equal(JSON.parse(back.out).next, "current");

  assert.equal((await run(machine.host, `switch ${REFERENCE}`)).out, "Image specification is unchanged.\n");
  offer(offers, ONE, "other", "latest");
  const switched = await run(machine.host, "switch registry.example.com:5000/other --apply");
  assert.equal(switched.status, 0, switched.err);
  assert.match(switched.out, /^Queued for next boot: registry\.example\.com:5000\/other:latest$/m);
  assert.deepEqual(machine.host.executed.at(-1), ["systemctl", "reboot", "--message=Initiated by berth"]);
  const unchanged = await run(machine.host, "switch registry.example.com:5000/other --apply");
  assert.equal(unchanged.out, "Image specification is unchanged.\n");
  assert.deepEqual(machine.host.executed.at(-1), ["systemctl", "reboot", "--message=Initiated by berth"]);
});

test("--dry-run says what upgrade, switch and rollback would do, and changes nothing", async () => {
  const { machine, offers } = await machineWithRegistry();
  const dryRun = async (line: string): Promise<string> => {
    const before = [fingerprint(machine.host, "/disk"), fingerprint(machine.host, "/run")];
    const commands = machine.host.executed.filter(([program]) => program === "systemctl").length;
    const outcome = await run(machine.host, `${line} --dry-run`);
    assert.equal(outcome.status, 0, outcome.err);
    assert.deepEqual([fingerprint(machine.host, "/disk"), fingerprint(machine.host, "/run")], before, line);
    assert.equal(machine.host.executed.filter(([program]) => program === "systemctl").length, commands);
    return outcome.out.replaceAll(/sha256:[0-9a-f]{64}/g, "sha256:X");
  };
  offer(offers, ONE);
  assert.equal(
    await dryRun("upgrade"),
    "No changes in: docker://registry.example.com:5000/os:1\nNothing was changed\n",
  );
  offer(offers, TWO);
  assert.match(
    await dryRun("upgrade --apply"),
    /^Would queue for next boot: registry\.example\.com:5000\/os:1\n  Version: 2\n  Digest: sha256:X\nLayers to fetch:  2     Size: .*\nSpace needed: .* MB, available: .*\nWould be kept for a rollback: registry\.example\.com:5000\/os:1 at sha256:X\nNothing was changed\n--apply: would reboot when something is staged\n$/,
  );
  await run(machine.host, "upgrade --download-only");
  assert.match(await dryRun("upgrade --from-downloaded"), /^Would apply staged image on reboot: registry/);
  assert.match(await dryRun("upgrade"), /^Staged update present, not changed$/m);
  await run(machine.host, "upgrade --from-downloaded");
  assert.equal(
    await dryRun("upgrade --from-downloaded"),
    "Staged deployment is already set to apply on reboot\nNothing was changed\n",
  );
  offer(offers, ONE, "other", "latest");
  assert.match(
    await dryRun("switch registry.example.com:5000/other"),
    /^Layers to fetch:  0 [^]*^Would drop: registry\.example\.com:5000\/os:1 at sha256:X \(staged\)\nNothing was changed$/m,
  );
  const { out } = await run(machine.host, "switch registry.example.com:5000/other --dry-run --json");
  assert.equal(JSON.parse(out).kind, "would-stage");
  await run(machine.host, "composefs-finalize-staged");
  machine.boot();
  assert.equal(
    await dryRun("rollback --apply"),
    "Would boot next: rollback deployment, registry.example.com:5000/os:1 at sha256:X\nNothing was changed\n--apply: would reboot\n",
  );
  offer(offers, ONE);
  const again = await dryRun("upgrade");
  assert.doesNotMatch(again, /Would drop/, "the rollback image itself comes back");
  assert.match(again, /^Layers to fetch:  0 /m);
});

test("upgrade --tag without an origin is told in bootc's words", async () => {
  const { machine } = await machineWithRegistry();
  machine.host.files.remove(`/disk/root/state/deploy/${machine.bootedId()}/${machine.bootedId()}.origin`);
  assert.match(
    (await run(machine.host, "upgrade --tag 2")).err,
    /--tag requires a booted image with a specified source/,
  );
  assert.match((await run(machine.host, "upgrade")).err, /No image source specified/);
});

const REFUSED: readonly [line: string, status: number, err: RegExp][] = [
  ["upgrade --check --apply", 2, /Cannot use --check together with --apply/],
  ["upgrade --download-only --from-downloaded", 2, /Cannot use --download-only together with --from-downloaded/],
  ["upgrade --soft-reboot required", 1, /Soft reboot was required but staged deployment is not soft-reboot capable/],
  ["upgrade --from-downloaded", 1, /No staged deployment found/],
  ["upgrade --tag none", 1, /Cannot find image "registry\.example\.com:5000\/os:none"/],
  ["upgrade", 1, /Cannot use image "registry\.example\.com:5000\/os:1": its manifest sha256:[0-9a-f]{64} is malformed/],
  ["switch nowhere", 1, /Cannot parse image reference "nowhere"/],
  ["switch registry.example.com:5000/none:1", 1, /Cannot find image "registry\.example\.com:5000\/none:1"/],
  ["switch", 2, /IMAGE/],
  ["rollback", 1, /No rollback available/],
  ["status --format-version 2", 2, /Unsupported format version: 2/],
  ["status --json --format yaml", 2, /Cannot print both --json and --format=yaml/],
  ["status --format xml", 2, /wanted one of humanreadable, yaml, json/],
];

for (const [line, status, err] of REFUSED) {
  test(`berth ${line} is refused`, async () => {
    const { machine, offers } = await machineWithRegistry();
    offers.set("os/manifests/1", new TextEncoder().encode("{not json"));
    const outcome = await run(machine.host, line);
    assert.equal(outcome.status, status, outcome.err);
    assert.match(outcome.err, err);
    assert.equal(outcome.out, "");
    assert.equal(machine.boot(), machine.bootedId());
  });
}

for (const line of ["upgrade", "switch registry.example.com:5000/os:1", "rollback", "composefs-finalize-staged"]) {
  test(`berth ${line} refuses another user, and a system that is no deployment`, async () => {
    const stranger = createFakeHost({ user: { uid: 1000, gid: 1000 } });
    assert.match((await run(stranger, line)).err, /This command must be executed as the root user/);
    const outcome = await run(createFakeHost(), line);
    assert.equal(outcome.status, 1);
    assert.match(outcome.err, /System not booted via bootc/);
    assert.match(
      (await run(createFakeHost({ files: { "/run/.containerenv": "" } }), line)).err,
      /Detected container; this command requires a booted host system\./,
    );
  });
}

test("berth status on another system", async () => {
  const outcome = await run(createFakeHost({ user: { uid: 1000, gid: 1000 } }), "status");
  assert.deepEqual(outcome, { status: 0, out: "System is not deployed via bootc.\n", err: "" });
});

test("berth usr-overlay says what it did", async () => {
  const machine = await createTestMachine(ONE);
  machine.host.files.makeDirectory("/usr");
  assert.equal(
    (await run(machine.host, "usroverlay")).out,
    "A read/write overlayfs is now mounted on /usr\nAll changes there will be discarded on reboot.\n",
  );
  assert.equal((await run(machine.host, "usr-overlay")).out, "An overlayfs is already mounted on /usr\n");
  assert.match((await run(machine.host, "status")).out, /^    \/usr overlay: transient, read\/write$/m);
});

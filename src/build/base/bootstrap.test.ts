import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { createFakeHost } from "../../host/fake.ts";
import { bootstrap, type BootstrapOptions, mmdebstrapArgv } from "./bootstrap.ts";
import { findSuite } from "./suites.ts";

const OPTIONS: BootstrapOptions = {
  suite: findSuite("trixie"),
  archive: { suites: [{ uri: "http://m.example/debian", suite: "trixie", dateSec: 0, digest: "" }], dateSec: 0 },
  settings: { image: ['Acquire::Check-Valid-Until "false";'], build: [] },
  packages: ["sudo", "vim"],
  ownSource: "deb [trusted=yes] copy:/own ./",
  root: "/w/root",
  cache: "/w/it's",
  temporary: "/w/tmp",
  log: "/w/log",
  epochSec: 1_700_000_000,
  onLine: () => {},
};
const KEYRING = { "/usr/share/keyrings/debian-archive-keyring.gpg": "", "/w": { directory: true } } as const;

test("mmdebstrapArgv() names suite, root and sources last, and quotes the cache's path for its hooks", () => {
  const argv = mmdebstrapArgv(OPTIONS);
  assert.deepEqual(argv.slice(-4), [
    "trixie",
    "/w/root",
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example/debian trixie main",
    "deb [trusted=yes] copy:/own ./",
  ]);
  assert.ok(argv.includes("--include=sudo,vim,berth-kernel"));
  assert.ok(argv.includes('--aptopt=Acquire::Check-Valid-Until "false"'));
  assert.ok(argv.some((word) => word.includes("'/w/it'\\''s'")));
  assert.ok(!argv.some((word) => word.startsWith("--hook-dir")));
  assert.ok(
    mmdebstrapArgv({ ...OPTIONS, suite: findSuite("bookworm") }).some((word) => word.startsWith("--hook-dir=")),
  );
});

test("bootstrap() runs with the epoch and the host's proxies, and tells each line", async () => {
  let env: Readonly<Record<string, string | undefined>> = {};
  const lines: string[] = [];
  const host = createFakeHost({
    files: KEYRING,
    env: { http_proxy: "http://proxy.example", HOME: "/root" },
    programs: {
      setpriv: (run) => {
        env = run.env;
        return { stderr: "Get:1 http://m.example\nSetting up sudo\n" };
      },
    },
  });
  await bootstrap(host, { ...OPTIONS, onLine: (line) => lines.push(line) });
  assert.deepEqual(lines, ["Get:1 http://m.example", "Setting up sudo"]);
  assert.equal(env["SOURCE_DATE_EPOCH"], "1700000000");
  assert.equal(env["http_proxy"], "http://proxy.example");
  assert.equal(env["HOME"], undefined);
  assert.equal(env["TMPDIR"], "/w/tmp");
});

test("bootstrap() tells apt's own error and where the log is", async () => {
  const stderr =
    "I: running\nE: Unable to locate package vim\nE: setup failed: E: apt-get failed\nE: mmdebstrap failed to run\n";
  const host = createFakeHost({ files: KEYRING, programs: { setpriv: () => ({ exitCode: 25, stderr }) } });
  await assert.rejects(
    bootstrap(host, OPTIONS),
    (error) =>
      isFailure(error, "exec-failed") &&
      error.message.endsWith("Unable to locate package vim") &&
      /\/w\/log/.test(error.hint ?? ""),
  );
  assert.equal(host.files.readText("/w/log"), stderr);
});

test("bootstrap() wants Debian's keys", async () => {
  await assert.rejects(bootstrap(createFakeHost(), OPTIONS), (error) => isFailure(error, "missing-tool"));
});

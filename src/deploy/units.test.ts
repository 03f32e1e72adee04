import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FINALIZE_UNIT } from "./stage.ts";

const UNITS = new URL("../../systemd/", import.meta.url);
const OURS = [
  FINALIZE_UNIT,
  "bootc-fetch-apply-updates.service",
  "bootc-fetch-apply-updates.timer",
  "berth-registry.service",
];
const read = (name: string): string => readFileSync(new URL(name, UNITS), "utf8");

test("systemd accepts the units of a machine", () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-units-"));
  try {
    for (const name of OURS) {
      // systemd-analyze wants the programs to exist; in an image they do.
      writeFileSync(join(folder, name), read(name).replaceAll("/usr/bin/berth", "/bin/true"));
    }
    const checked = spawnSync("systemd-analyze", ["verify", "--man=no", ...OURS.map((name) => join(folder, name))], {
      encoding: "utf8",
    });
    assert.equal(checked.status, 0, checked.stderr);
    assert.equal(checked.stderr, "");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the finalize unit works when it is stopped, and never when it is started", () => {
  const unit = read(FINALIZE_UNIT);
  assert.match(unit, /^ExecStop=\/usr\/bin\/berth internal finalize$/m);
  assert.doesNotMatch(unit, /^ExecStart=/m);
  assert.match(unit, /^RemainAfterExit=yes$/m);
  assert.match(unit, /^RequiresMountsFor=\/sysroot$/m);
  assert.doesNotMatch(unit, /^\[Install\]$/m);
});

test("updates by the timer are off unless somebody enables them", () => {
  assert.match(read("90-berth.preset"), /^disable bootc-fetch-apply-updates\.timer$/m);
  assert.match(read("bootc-fetch-apply-updates.service"), /^ConditionKernelCommandLine=composefs$/m);
  assert.ok(readdirSync(UNITS).length > 0);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { berthLayer, enabledUnits } from "./berth-layer.ts";

const UNIT = "[Unit]\nDescription=x\n\n[Install]\nWantedBy=multi-user.target timers.target\nRequiredBy=basic.target\n";

test("enabledUnits() links what a preset enables, as systemctl does", () => {
  const units = new Map([
    ["90-x.preset", "# a note\nenable a.service\ndisable b.service\n"],
    ["a.service", UNIT],
    ["b.service", UNIT],
  ]);
  assert.deepEqual(Object.fromEntries(enabledUnits(units)), {
    "etc/systemd/system/multi-user.target.wants/a.service": "/usr/lib/systemd/system/a.service",
    "etc/systemd/system/timers.target.wants/a.service": "/usr/lib/systemd/system/a.service",
    "etc/systemd/system/basic.target.requires/a.service": "/usr/lib/systemd/system/a.service",
  });
});

test("enabledUnits() rejects a preset for a unit that is not there", () => {
  assert.throws(() => enabledUnits(new Map([["x.preset", "enable missing.service\n"]])), SyntaxError);
});

test("berthLayer() is sorted, owned by root, and dated by the epoch", () => {
  const inputs = berthLayer(
    { binary: Buffer.from("binary"), units: new Map([["a.service", UNIT]]), completion: "complete" },
    1_700_000_000,
  );
  const paths = inputs.map(({ member }) => String(member.path));
  assert.deepEqual(paths, [...paths].sort());
  assert.ok(
    paths.includes("usr/bin/berth") &&
      paths.includes("usr/bin/bootc") &&
      paths.includes("usr/lib/systemd/system/a.service"),
  );
  for (const { member } of inputs)
    assert.deepEqual([member.stat.uid, member.stat.gid, member.stat.mtimeSec], [0, 0, 1_700_000_000]);
});

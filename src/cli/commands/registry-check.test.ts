/** What the command takes from the configuration; what it finds is checkStorage()'s. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { filesDriver } from "../../registry/files-driver.ts";
import { openTestRegistry } from "../../registry/testing.ts";
import { commands } from "../commands.ts";
import { type Printed, runWords } from "../testing.ts";

function check(host: FakeHost, more: string): Promise<Printed> {
  host.files.write(
    "/srv/r/registry.toml",
    `listen = ":5000"\n[storage]\ndriver = "files"\ndirectory = "data"\n${more}`,
  );
  return runWords(host, commands, ["registry", "check", "/srv/r"]);
}

test("copies of another registry may be in part, and what this registry owns may not", async () => {
  const host = createFakeHost();
  host.files.makeDirectory("/srv/r");
  using registry = openTestRegistry({ driver: filesDriver(host, "/srv/r/data"), clock: host.clock });
  await registry.pushImage("hub/os", "v1");
  for (const { digest } of JSON.parse(await (await registry.call("GET", "/v2/hub/os/manifests/v1")).text()).layers) {
    await registry.call("DELETE", `/v2/hub/os/blobs/${digest}`);
  }
  const own = await check(host, "");
  assert.equal(own.status, 1);
  assert.match(own.err, /missing blob in hub\/os: sha256:/);
  const copy = await check(host, '[[upstream]]\nprefix = "hub"\nlocation = "registry.test"\n');
  assert.deepEqual([copy.status, copy.err], [0, ""]);
  assert.match(copy.out, /all is whole/);
});

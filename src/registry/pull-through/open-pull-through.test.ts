import assert from "node:assert/strict";
import { test } from "node:test";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { filesDriver } from "../files-driver.ts";
import { openPullThrough, type UpstreamOptions } from "./open-pull-through.ts";

const host = createLinuxHost();
const driver = filesDriver(host, "/nonexistent");

function upstreams(...prefixes: readonly string[]) {
  const location = { host: "up.test", path: "" };
  return prefixes.map((prefix) => ({
    prefix,
    location,
    insecure: false,
    authFile: "auth.json",
    interval: 1000,
    fetchesMax: 1,
    size: undefined,
  }));
}

test("openPullThrough() connects each upstream with its file made absolute; without upstreams there is nothing", () => {
  const seen: UpstreamOptions[] = [];
  const connectUpstream = (options: UpstreamOptions): never => {
    seen.push(options);
    return assert.fail("stop here");
  };
  const options = { progress: silent, connectUpstream, at: (path: string) => `/registry/${path}`, driver };
  assert.equal(openPullThrough(host, undefined, options), undefined);
  assert.equal(openPullThrough(host, [], options), undefined);
  assert.throws(() => openPullThrough(host, upstreams("hub"), options), /stop here/);
  assert.equal(seen[0]?.authFile, "/registry/auth.json");
});

for (const prefixes of [
  ["hub", "hub"],
  ["hub", "other", "hub/deep"],
  ["hub/deep", "hub"],
]) {
  test(`prefixes ${prefixes.join(", ")} are refused`, () => {
    const options = { progress: silent, connectUpstream: () => assert.fail(), at: (path: string) => path, driver };
    assert.throws(() => openPullThrough(host, upstreams(...prefixes), options), /Cannot use upstream prefix/);
  });
}

test("a configuration with upstreams is refused where there is no client", () => {
  const options = { progress: silent, at: (path: string) => path, driver };
  assert.throws(() => openPullThrough(host, upstreams("hub"), options), /there is no client/);
});

/** The number of the registry's page beside that of the client, which has pulled the old image into a real store. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { createLinuxHost } from "../host/linux.ts";
import { type ImageRef, parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { pushDelta } from "../remote/delta-artifact.ts";
import { fetchConfig, pullImage } from "../remote/pull.ts";
import { pushImage } from "../remote/push.ts";
import { resolveImage } from "../remote/resolve.ts";
import { createTestClient, REGISTRY } from "../remote/testing.ts";
import { describeTransfer, layerBytes, planTransfer } from "../remote/transfer-plan.ts";
import type { LayerEncoding } from "../store/layer-encoding.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { type FixtureEntries, fixtureDocuments, fixtureTar, noise } from "../store/testing.ts";
import { planUpgradeCost } from "./registry-upgrade-cost.ts";

const host = createLinuxHost();
const refOf = (tag: string): ImageRef => parseImageRef(`${REGISTRY}/team/os:${tag}`);

/** A base that stays, and files of which some change. */
const BASE = { "": null, base: noise(90_000, "base") };
const files = (changed: readonly number[]): FixtureEntries => ({
  "": null,
  moved: changed.length === 0 ? "" : noise(90_000, "base"),
  ...Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [
      `file${i}`,
      Buffer.concat([noise(i === 7 ? 30 : 60_000 + i, String(i)), Buffer.from(changed.includes(i) ? " newer" : "")]),
    ]),
  ),
});

async function build(store: Store, layers: readonly FixtureEntries[], encoding: LayerEncoding): Promise<StoredImage> {
  const added = [];
  for (const entries of layers) {
    const tar = await fixtureTar(entries);
    added.push({ ...(await store.addLayer(streamOf(tar), { encoding })), tar, blob: Buffer.alloc(0) });
  }
  return store.saveImage(fixtureDocuments(added));
}

for (const [encoding, withDelta, ways] of [
  ["zstd:chunked", false, /^1 layer reused; 1 layer by ranges: 6\d\.?\d* kB of 1\.\d+ MB$/],
  ["gzip", false, /^1 layer reused; 1 layer whole: 1\.\d+ MB$/],
  ["zstd:chunked", true, /^1 layer reused; 1 layer by delta: \d\.\d+ kB of 1\.\d+ MB$/],
] as const) {
  test(`the page and the client name one number for ${encoding} layers${withDelta ? " with a delta" : ""}`, async () => {
    using registry = openTestRegistry();
    const open = (name: string, keepBlobs: boolean): Store =>
      openStore(host, `${registry.root}/${name}/composefs`, { keepBlobs, create: true, access: "shared" });
    using builder = open("builder", true);
    using machine = open("machine", false);
    const { context } = createTestClient({ [REGISTRY]: registry.handler });
    const old = await build(builder, [BASE, files([])], encoding);
    const next = await build(builder, [BASE, files([3, 7])], encoding);
    await pushImage(context, builder, old, refOf("v1"));
    await pushImage(context, builder, next, refOf("v2"));
    const resolved = await resolveImage(context, refOf("v2"));
    if (withDelta) await pushDelta(context, resolved.session, { delta: await builder.createDelta(old, next), next });

    await pullImage(context, machine, refOf("v1"));
    const { config } = await fetchConfig(resolved);
    const planned = await planTransfer({ context, store: machine, resolved, config });
    const cost = await planUpgradeCost(context)(registry.handle, {
      repository: "team/os",
      from: old.digest,
      to: next.digest,
    });
    assert.deepEqual(cost, { bytes: layerBytes(planned), ways: describeTransfer(planned) });
    assert.match(cost.ways, ways);
  });
}

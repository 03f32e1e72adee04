/** What a build takes from the cache, and what it clears away. */
import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { openWorkstationStore } from "../store/workstation.ts";
import {
  addBase,
  berth,
  build,
  context,
  host,
  imageOf,
  removeScratch,
  storeRoot,
  type Built,
} from "../../test/support/tiny-builds.ts";

before(addBase);
after(removeScratch);

test("an unchanged build comes from the cache and is the same image; times do not matter, content does", () => {
  const directory = context({
    Containerfile: "FROM tiny:1\nRUN echo cache-test > /a\nCOPY page /b\nRUN cat /b > /c\nLABEL x=y\n",
    page: "1",
  });
  const run = (...args: string[]): Built => {
    const built = berth(["build", ...args, directory]);
    assert.equal(built.status, 0, built.stderr);
    return built;
  };
  const hits = (built: Built): number => built.stdout.match(/^--> Using cache [0-9a-f]{64}$/gm)?.length ?? 0;
  const first = run();
  assert.equal(hits(first), 0);
  utimesSync(path.join(directory, "page"), 5, 5);
  const second = run();
  assert.deepEqual([hits(second), second.id], [4, first.id]);
  writeFileSync(path.join(directory, "page"), "2");
  assert.equal(hits(run()), 1);
  chmodSync(path.join(directory, "page"), 0o755);
  assert.equal(hits(run()), 1);
  const fresh = run("--no-cache");
  assert.equal(hits(fresh), 0);
  assert.notEqual(fresh.id, first.id);
  assert.match(run("-q").stdout, /^[0-9a-f]{64}\n$/);
});

test("a build argument is part of the key where it is declared", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN echo before > /x\nARG V\nRUN echo $V > /y\n" });
  const first = berth(["build", "--build-arg", "V=1", directory]);
  const second = berth(["build", "--build-arg", "V=2", directory]);
  assert.notEqual(first.id, second.id);
  assert.equal(second.stdout.match(/Using cache/g)?.length, 2);
  assert.equal(berth(["build", "--build-arg", "V=1", directory]).id, first.id);
  assert.match(
    berth(["build", "--build-arg", "V=1", "--build-arg", "NO=1", directory]).stderr,
    /one or more build args were not consumed: \[NO\]/,
  );
});

test("a layer that left the store is made again", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN echo gone > /gone\n" });
  const first = berth(["build", directory]);
  {
    using store = openWorkstationStore(host);
    assert.ok(store.removeImage(imageOf(first.id).digest));
    store.gc({ dryRun: false });
  }
  const second = berth(["build", directory]);
  assert.equal(second.status, 0, second.stderr);
  assert.doesNotMatch(second.stdout, /Using cache/);
});

test("what a killed build left behind is removed by the next one", () => {
  const left = path.join(storeRoot, "cache/scratch/0123456789ab");
  mkdirSync(left, { recursive: true });
  cpSync(import.meta.filename, path.join(left, "file"));
  build("FROM tiny:1\nENV X=1\n");
  assert.deepEqual(readdirSync(path.join(storeRoot, "cache/scratch")), []);
});

/** A registry with its own token server, as `berth registry init` makes one, over a real socket: all of it into a folder. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { initRegistry } from "../../registry/init.ts";
import { startRegistry } from "../../registry/serve.ts";
import type { CopyContext } from "../copy/image-io.ts";
import { listRepositories } from "../list-repositories.ts";
import { logIn } from "../login.ts";
import { pushImage } from "../push.ts";
import { openSession } from "../session.ts";
import { createMemoryStore, makeImage } from "../testing.ts";
import { openPlace } from "./open-place.ts";
import { applySync, planSync } from "./sync.ts";

const host = createLinuxHost();

test("after a login, the catalog of a registry with tokens is what the user may pull, and a sync copies it", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-sync-test-`);
  const at = (name: string): string => `${directory.path}/${name}`;
  await initRegistry(host, at("registry"), { user: "anna", password: "secret", hostnames: [], tls: false });
  await using registry = await startRegistry(host, at("registry"), {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
  });
  const name = registry.url.replace("http://", "");
  const context: CopyContext = {
    host: { ...host, env: {} },
    progress: silent,
    authFile: at("auth.json"),
    tlsVerify: false,
  };
  await logIn(context, name, { username: "anna", password: "secret" });
  const store = createMemoryStore(at("store"));
  const image = store.add(makeImage(["base"]), "localhost/x:1");
  for (const path of ["team/os", "base/os"])
    await pushImage(context, store, image, parseImageRef(`${name}/${path}:v1`));

  const endpoint = { host: name, path: "", insecure: true, isMirror: false };
  const session = await openSession(context, endpoint, { access: "pull" });
  assert.deepEqual(await listRepositories(session), ["base/os", "team/os"]);

  const tags = /./;
  await using from = await openPlace(context, name, { side: "source", tags });
  await using to = await openPlace(context, `oci:${at("air")}`, { side: "destination", tags });
  const { copied } = await applySync(context, from, to, await planSync(from, to, { delete: false }));
  assert.equal(copied, 2);

  await using mistaken = await openPlace(context, `${name}/team`, { side: "source", tags });
  await assert.rejects(planSync(mistaken, to, { delete: true }), (error) => isFailure(error, "not-found"));
});

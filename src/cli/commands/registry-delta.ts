/** `berth registry delta`: deltas to an image of a registry, made where its storage is. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure, isFailure } from "../../core/failure.ts";
import { formatBytes } from "../../core/units.ts";
import { openToAll } from "../../registry/auth.ts";
import { createRegistry } from "../../registry/handler.ts";
import { openRepository } from "../../registry/repository.ts";
import { openRegistryStorage } from "../../registry/storage.ts";
import { openStore } from "../../store/open.ts";
import { command } from "../command.ts";
import { readImageRef } from "../image-names.ts";
import { KEEP_XZ, readDeltaCount } from "../push-deltas.ts";
import { makeRegistryDeltas } from "../registry-deltas.ts";
import { remoteContext } from "../remote-flags.ts";

export const registryDeltaCommand = command({
  name: "registry delta",
  summary: "Make deltas to an image of a registry",
  description:
    "From the images that machines probably run: those that lost a tag, the last first, then those of the highest tags. Works while the registry\n" +
    "serves, which does it itself after each push when its configuration has [deltas]. Needs space for the images' files in /var/tmp (TMPDIR).",
  flags: {
    from: { type: "string", value: "N", default: "3", summary: "from so many images" },
    "keep-xz": KEEP_XZ,
  },
  operands: [
    { name: "DIR", summary: "the registry's folder" },
    { name: "IMAGE", summary: "NAME:TAG or NAME@DIGEST, without the registry's address" },
  ],
  examples: [["berth registry delta /srv/registry team/os:4", "small updates to :4"]],
  async run(values, [directory = "", name = ""], context) {
    const { host } = context;
    const count = readDeltaCount(values.from);
    const ref = readImageRef(`localhost/${name}`);
    using storage = await openRegistryStorage(host, textToByteName(directory));

    const { driver, config } = storage;
    const repository = openRepository(driver, ref.path);
    const manifest = await repository.findManifest(
      ref.digest === undefined ? { kind: "tag", tag: ref.tag ?? "latest" } : { kind: "digest", digest: ref.digest },
    );
    if (manifest === undefined) {
      throw new Failure("not-found", `Cannot make deltas to "${name}": registry "${directory}" does not have it`);
    }
    const registry = createRegistry({
      host,
      driver,
      authenticate: openToAll,
      leaseMs: config.gc.grace,
      quotas: config.quota,
    });
    const folder = host.env["TMPDIR"] ?? "/var/tmp";
    using scratch = host.files.temporaryDirectory(`${textToByteName(folder)}/berth-deltas-`);
    using store = openStore(host, `${scratch.path}/composefs`, { keepBlobs: false, create: true, access: "shared" });

    const request = {
      repository: ref.path,
      digest: manifest.digest,
      replaced: await repository.replaced(),
      count,
      keepXz: values["keep-xz"],
    };
    const remote = remoteContext(context, { authfile: undefined });
    const deltas = await makeRegistryDeltas(remote, registry, store, request).catch((cause: unknown) => {
      if (!isFailure(cause, "no-space")) throw cause;
      const hint = `free some space in "${folder}", or name a larger folder in TMPDIR`;
      throw new Failure("no-space", `Cannot make deltas to "${name}"`, { hint, cause });
    });
    return { repository: ref.path, digest: manifest.digest, deltas };
  },
  view: ({ deltas }) => deltas.map(({ old, bytes }) => `${formatBytes(bytes)} from ${old}`).join("\n"),
});

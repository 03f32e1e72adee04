/** `berth copy`: an image from one place to another, as it is. */
import { Failure } from "../../core/failure.ts";
import { formatBytes } from "../../core/units.ts";
import type { Platform } from "../../oci/manifest.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { applyCopy, type CopyPlan, parsePlatform, planCopy } from "../../remote/copy/copy.ts";
import { type ImageName, parseImageName } from "../../remote/copy/image-name.ts";
import type { CopyContext } from "../../remote/copy/image-io.ts";
import { openSink, openSource, type StoreAccess } from "../../remote/copy/open-image.ts";
import type { Store } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command, type Context } from "../command.ts";
import { findStoredImage, readLocalName } from "../image-names.ts";
import { SIDED_FLAGS, sidedContext } from "../remote-flags.ts";

export const copyCommand = command({
  name: "copy",
  summary: "Copy an image between registries, folders, archives and stores",
  description:
    "Manifests and blobs stay byte for byte as they are, so digests do not change; a docker-archive has no manifest of its own, and " +
    "podman's storage packs layers anew. What the destination has is skipped, and a copy that was broken off goes on where it was.\n\n" +
    "SOURCE and DESTINATION are docker://HOST/NAME[:TAG], oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], " +
    "dir:DIR, containers-storage:NAME (by way of skopeo), or a NAME in berth's store, also written berth:NAME. `berth pull` and `berth push` are for a registry " +
    "and this store, `berth image import` and `export` for an OCI folder and this store.",
  flags: {
    all: { type: "boolean", short: "a", summary: "Of an index: the index itself and every image in it" },
    platform: { type: "string", value: "OS/ARCH[/VARIANT]", summary: "Of an index: the image for this platform" },
    ...SIDED_FLAGS,
    quiet: { type: "boolean", short: "q", summary: "Print the digest only" },
  },
  operands: [
    { name: "SOURCE", summary: "where the image is" },
    { name: "DESTINATION", summary: "where it goes" },
  ],
  plans: true,
  examples: [
    ["berth copy docker://quay.io/team/os:1 oci:/media/usb:os-1", "onto a stick"],
    ["berth copy --all docker://quay.io/team/os:1 docker://registry.example.com/team/os:1", "all architectures"],
    ["berth copy localhost/os:1 docker-archive:os.tar:os:1", "for docker load"],
  ],
  async run(values, [from = "", to = ""], context) {
    if (values.all && values.platform !== undefined)
      throw new Failure("usage", "Cannot copy: --all and --platform are both given");
    const names = { from: readName(from), to: readName(to) };
    const platform = readPlatform(values.platform, context.host.architecture);
    const ends = {
      from: { ...sidedContext(context, values, "src"), host: context.host },
      to: { ...sidedContext(context, values, "dest"), host: context.host },
    };
    using opened = lazyStore(context);

    await using source = await openSource(ends.from, names.from, from, opened.access);
    await using sink = await openSink(ends.to, names.to, to, opened.access);

    const plan = await planCopy(source, sink, { all: values.all, platform });
    if (sink.rewrites !== undefined) context.progress.say(`The manifest changes: ${sink.rewrites}`);
    if (context.dryRun) return { source: from, destination: to, ...describe(plan), isDryRun: true };
    const { digest, movedBytes, reusedBytes } = await applyCopy(ends.to satisfies CopyContext, source, sink, plan);
    context.progress.say(`Copied ${formatBytes(movedBytes)}, ${formatBytes(reusedBytes)} already there`);
    return { source: from, destination: to, digest, movedBytes, reusedBytes, isDryRun: false };
  },
  view: (value) => ("blobs" in value ? formatPlan(value) : `${value.digest}\n`),
});

interface DescribedPlan {
  readonly digest: string;
  readonly movedBytes: number;
  readonly reusedBytes: number;
  readonly blobs: readonly { readonly digest: string; readonly size: number; readonly isThere: boolean }[];
}

function describe(plan: CopyPlan): DescribedPlan {
  const blobs = plan.blobs.map(({ blob, isThere }) => ({ digest: blob.digest, size: blob.size, isThere }));
  const sum = (isThere: boolean): number =>
    blobs.filter((blob) => blob.isThere === isThere).reduce((total, { size }) => total + size, 0);
  return { digest: plan.top.digest, movedBytes: sum(false), reusedBytes: sum(true), blobs };
}

function formatPlan({ digest, movedBytes, reusedBytes, blobs }: DescribedPlan): string {
  const lines = blobs.map((blob) => `${blob.isThere ? "reuse" : "copy "}  ${blob.digest}  ${formatBytes(blob.size)}\n`);
  return `${lines.join("")}${digest}: ${formatBytes(movedBytes)} to copy, ${formatBytes(reusedBytes)} already there\n`;
}

function readName(text: string): ImageName {
  try {
    return parseImageName(text);
  } catch (error) {
    throw new Failure("usage", error instanceof Error ? error.message : String(error));
  }
}

function readPlatform(text: string | undefined, architecture: string): Platform {
  if (text === undefined) return { os: "linux", architecture };
  try {
    return parsePlatform(text);
  } catch (error) {
    throw new Failure("usage", error instanceof Error ? error.message : String(error));
  }
}

/** The store is opened when a name first needs it. */
function lazyStore(context: Context): Disposable & { readonly access: StoreAccess } {
  let store: Store | undefined;
  const open = (): Store => (store ??= openWorkstationStore(context.host));
  return {
    access: {
      store: open,
      find: (name) => findStoredImage(open(), name),
      fullName: (name) => formatImageRef(readLocalName(name)),
    },
    [Symbol.dispose]: () => store?.[Symbol.dispose](),
  };
}

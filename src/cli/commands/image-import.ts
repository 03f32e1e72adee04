/** `berth image import`: an image from an OCI folder into the local store. */
import { Failure } from "../../core/failure.ts";
import { parseLayoutReference, type LayoutReference } from "../../oci/layout.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { importLayout } from "../../store/oci-layout.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { readLocalName } from "../image-names.ts";

export const imageImportCommand = command({
  name: "image import",
  summary: "Bring an image from an OCI folder into the local store",
  description:
    "Reads what skopeo, buildah or berth wrote as oci:DIRECTORY. Every digest is checked; layers that are here already are not read. " +
    "For registries, archives and other stores, or to choose among platforms, use `berth copy`.",
  flags: { tag: { type: "string", short: "t", value: "NAME", summary: "name of the image" } },
  operands: [{ name: "SOURCE", summary: "oci:DIRECTORY[:NAME]" }],
  examples: [["berth image import oci:/media/usb/os:1 -t localhost/os:1", "from a stick"]],
  async run(values, operands, context) {
    const reference = parseFolder(operands[0] ?? "");
    if (values.tag === undefined) throw new Failure("usage", "Cannot import image: -t NAME is missing");
    const name = parseName(values.tag);
    using store = openWorkstationStore(context.host);
    const image = await importLayout(context.host, store, reference, {
      progress: context.progress,
      signal: context.signal,
    });
    store.tag(name, image.digest);
    return { name, digest: image.digest, id: image.manifest.config.digest };
  },
  view: ({ id }) => `${id.slice("sha256:".length)}`,
});

/** Failure "usage". */
export function parseFolder(text: string): LayoutReference {
  try {
    return parseLayoutReference(text);
  } catch (cause) {
    throw new Failure("usage", cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function parseName(text: string): string {
  const name = readLocalName(text);
  if (name.digest === undefined) return formatImageRef(name);
  throw new Failure("usage", `Cannot name an image "${text}": a digest cannot be chosen, wanted NAME[:TAG]`);
}

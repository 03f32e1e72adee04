/** `berth tag`: one more name for an image in the store. */
import { Failure } from "../../core/failure.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage, readLocalName } from "../image-names.ts";

export const tagCommand = command({
  name: "tag",
  summary: "Give an image one more name",
  flags: {},
  operands: [
    { name: "IMAGE", summary: "name, id or digest of an image in the store" },
    { name: "NAME", summary: "the new names, [HOST/]NAME[:TAG]", many: true },
  ],
  async run(_values, [name = "", ...wanted], context) {
    const refs = wanted.map(readLocalName);
    const digested = refs.find((ref) => ref.digest !== undefined);
    if (digested !== undefined)
      throw new Failure("usage", `Cannot tag "${formatImageRef(digested)}": a name has no digest`);
    using store = openWorkstationStore(context.host);

    const image = findStoredImage(store, name);
    for (const ref of refs) store.tag(formatImageRef(ref), image.digest);
    return { digest: image.digest, names: refs.map(formatImageRef) };
  },
  view: () => undefined,
});

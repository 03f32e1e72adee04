/** `berth rmi`: takes names from images; an image that loses its last name is forgotten, and the next gc frees what only it had. */
import { listContainers } from "../../containers/containers.ts";
import { digestHex } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage, readLocalName } from "../image-names.ts";

export const rmiCommand = command({
  name: "rmi",
  summary: "Remove images from the store",
  description:
    "By name: the name goes, and the image with its last name. By id: all its names must go with --force when there are several.",
  flags: {
    force: {
      type: "boolean",
      short: "f",
      summary: "take all names from an image that is given by its id; also one that a container was made of",
    },
  },
  operands: [{ name: "IMAGE", summary: "name or id", many: true }],
  needsRoot: true,
  async run(values, names, context) {
    using store = openWorkstationStore(context.host);
    // All are looked up and allowed before anything is removed.
    const wanted = names.map((name) => ({ name, image: findStoredImage(store, name), full: fullName(name) }));
    const containers = listContainers(context.host, store);
    const going = new Set<string>();
    for (const { name, image, full } of wanted) {
      const isName = full !== undefined && image.names.includes(full);
      if (!isName && image.names.length > 1 && !values.force) {
        throw new Failure("conflict", `Cannot remove image "${name}": it has ${image.names.length} names`, {
          hint: "add --force, or remove its names",
        });
      }
      for (const each of isName ? [full] : image.names) going.add(each);
      const isLast = image.names.every((each) => going.has(each));
      const user = isLast ? containers.find(({ record }) => record.imageDigest === image.digest)?.record : undefined;
      if (user !== undefined && !values.force) {
        throw new Failure("busy", `Cannot remove image "${name}": container ${user.name} was made of it`, {
          hint: `berth rm ${user.name}, or add --force`,
        });
      }
    }
    const untagged = [...going].filter((each) => store.untag(each));
    const deleted = wanted
      .filter(({ image }) => store.image(image.digest)?.names.length === 0 && store.removeImage(image.digest))
      .map(({ image }) => digestHex(image.manifest.config.digest));
    return { untagged, deleted };
  },
  view: ({ untagged, deleted }) =>
    [...untagged.map((name) => `Untagged: ${name}`), ...deleted.map((id) => `Deleted: ${id}`)].join("\n"),
});

function fullName(name: string): string | undefined {
  try {
    return formatImageRef(readLocalName(name));
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/** missingPart(): what a boot entry needs and does not have. A default that cannot boot is worse than none. */
import type { Files } from "../host/host.ts";
import { deploymentPath, etcPath, storePath } from "./layout.ts";
import type { MenuEntry } from "./menu.ts";

/** The first path that is not there: state, image, kernel, initrd. */
export function missingPart(
  files: Pick<Files, "stat">,
  places: { readonly path: string; readonly esp: string },
  { id, named }: MenuEntry,
): string | undefined {
  const { linux, initrd } = named.entry;
  return [
    etcPath(places.path, id),
    `${deploymentPath(places.path, id)}/var`,
    `${storePath(places.path)}/images/${id}`,
    ...(linux === undefined ? [] : [linux, ...initrd]).map((file) => `${places.esp}${file}`),
  ].find((path) => files.stat(path) === undefined);
}

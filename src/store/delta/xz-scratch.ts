/** openXzScratch(): packs bytes by `xz`, which wants files, in a directory of the store that is gone afterwards. */
import type { XzSettings } from "../../format/xz/xz-file.ts";
import { TEMPORARY_PREFIX } from "../layout.ts";
import type { Repository } from "../repository.ts";
import { packXz, type XzOptions } from "./xz.ts";

export interface XzScratch extends Disposable {
  /** `expanded` is no longer needed once this has returned its promise. As packXz(). */
  pack(
    expanded: readonly Uint8Array[],
    options: XzOptions & { readonly settings: XzSettings; readonly sizes: readonly number[] },
  ): Promise<Buffer[] | undefined>;
}

export function openXzScratch({ host, paths }: Pick<Repository, "host" | "paths">): XzScratch {
  const directory = host.files.temporaryDirectory(`${paths.objects}/${TEMPORARY_PREFIX}xz-`);
  let count = 0;
  return {
    async pack(expanded, options) {
      const files = expanded.map((bytes) => {
        const path = `${directory.path}/${(count += 1)}`;
        host.files.write(path, bytes);
        return path;
      });
      try {
        return await packXz(host, files, options);
      } finally {
        for (const path of files) host.files.remove(path);
      }
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

/** openPlace(): what a person names as one end of a sync: `HOST[/PATH]`, `oci:DIR` or `oci-archive:FILE`. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { openFolder, writeFolder } from "../copy/folder.ts";
import type { CopyContext } from "../copy/image-io.ts";
import { requireLayoutOrNothing } from "../copy/layout-folder.ts";
import { openTar, writeTar } from "../copy/tar-archive.ts";
import { createLayoutPlace } from "./layout-place.ts";
import { createRegistryPlace } from "./registry-place.ts";
import type { SyncPlace } from "./sync-place.ts";

export interface PlaceOptions {
  readonly side: "source" | "destination";
  readonly tags: RegExp;
}

/** Failure "usage" for what is no place, "not-found" for a source that is not there, "conflict" for a folder with something else. */
export async function openPlace(context: CopyContext, text: string, options: PlaceOptions): Promise<SyncPlace> {
  const [, kind, rest = ""] = /^(oci|oci-archive):(.+)$/s.exec(text) ?? [];
  if (kind === undefined) return createRegistryPlace(context, { ...readRegistry(text), ...options });
  const { host, signal } = context;
  const path = textToByteName(rest);
  const isArchive = kind === "oci-archive";
  const isSource = options.side === "source";
  const isThere = isArchive ? host.files.exists(path) : isSource || requireLayoutOrNothing(host, path, text);
  const reader = !isThere && !isSource ? undefined : isArchive ? openTar(host, path) : openFolder(host, path);
  const writer = isSource ? undefined : isArchive ? writeTar(host, path, signal) : writeFolder(host, path, signal);
  return createLayoutPlace({ name: text, reader, writer, isArchive, tags: options.tags });
}

function readRegistry(text: string): { host: string; path: string } {
  const name = text.replace(/^docker:\/\//, "").replace(/\/+$/, "");
  const slash = name.indexOf("/");
  const host = slash < 0 ? name : name.slice(0, slash);
  const path = slash < 0 ? "" : name.slice(slash + 1);
  try {
    const ref = parseImageRef(`${host}/${path === "" ? "x" : path}`);
    if (ref.tag === "latest" && ref.digest === undefined && !path.includes(":")) return { host, path };
    throw new SyntaxError("it has a tag or digest; --tag chooses tags");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Failure("usage", `Cannot sync "${text}": wanted HOST[/REPOSITORY], oci:DIR or oci-archive:FILE`, {
      cause: error,
    });
  }
}

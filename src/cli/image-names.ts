/** Names of images as a person writes them at the command line. Without a registry in front they mean localhost/. */
import { Failure } from "../core/failure.ts";
import { formatImageRef, type ImageRef, parseImageRef } from "../oci/reference.ts";
import type { ConfigHost } from "../remote/context.ts";
import { suggestFullNames } from "../remote/short-names.ts";
import type { Store, StoredImage } from "../store/store.ts";

/** Failure "usage" for what is no reference. */
export function readImageRef(text: string): ImageRef {
  try {
    return parseImageRef(text);
  } catch (error) {
    throw new Failure("usage", error instanceof Error ? error.message : String(error));
  }
}

/** As readImageRef(), with a hint what a name without a registry may stand for. */
export function readRemoteRef(host: ConfigHost, text: string): ImageRef {
  try {
    return parseImageRef(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const names = suggestFullNames(host, text);
    throw new Failure("usage", error.message, names.length === 0 ? {} : { hint: `perhaps ${names.join(" or ")}` });
  }
}

/** As readImageRef(), but `web:1` is `localhost/web:1`. */
export function readLocalName(text: string): ImageRef {
  const first = text.split("/")[0] ?? "";
  const hasHost = text.includes("/") && (first === "localhost" || /[.:]/.test(first));
  return readImageRef(hasHost || text.includes("://") ? text : `localhost/${text}`);
}

/** By full name, by short name, by id or by digest. Failure "not-found". */
export function findStoredImage(store: Store, text: string): StoredImage {
  const direct = store.image(text);
  if (direct !== undefined) return direct;
  const named = asLocalName(text);
  const found = named === undefined ? undefined : store.image(named);
  if (found !== undefined) return found;
  throw new Failure("not-found", `Cannot find image "${text}": it is not in the store`, {
    hint: "berth images lists what is there",
  });
}

function asLocalName(text: string): string | undefined {
  try {
    return formatImageRef(readLocalName(text));
  } catch {
    return undefined;
  }
}

/**
 * scopesOf(): the names under which policy.json and registries.d speak of an image, most specific first: the image itself, its
 * repository, each namespace, the registry, and `*.domain` for each domain above the registry.
 *
 * @see containers-policy.json(5) "docker:", containers-registries.d(5)
 */
import { expandDockerHub, formatRepository, type ImageRef } from "../../oci/reference.ts";

export function scopesOf(ref: ImageRef): readonly string[] {
  const full = expandDockerHub(ref);
  const parts = formatRepository(full).split("/");
  const names = parts.map((_, i) => parts.slice(0, parts.length - i).join("/"));
  const labels = full.host.split(".");
  const domains = labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join(".")}`);
  return [`${names[0]}${versionOf(full)}`, ...names, ...domains];
}

/** `:tag` or `@digest`. With both, the digest says which image is meant. */
export function versionOf(ref: ImageRef): string {
  return ref.digest === undefined ? `:${ref.tag ?? "latest"}` : `@${ref.digest}`;
}

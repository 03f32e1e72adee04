/**
 * parseRoute(): a request's path as one endpoint of the specification, with names, tags and digests checked: what is past
 * this file is well-formed. One regular expression, compiled once.
 *
 * @see OCI distribution-spec, "Endpoints"
 */
import { type Digest, isDigest } from "../core/digest.ts";
import { RegistryError } from "./errors.ts";

/** A manifest is named by a tag or by its digest. */
export type Reference =
  | { readonly kind: "tag"; readonly tag: string }
  | { readonly kind: "digest"; readonly digest: Digest };

export type Route =
  | { readonly kind: "base" }
  | { readonly kind: "catalog" }
  | { readonly kind: "blob"; readonly repository: string; readonly digest: Digest }
  | { readonly kind: "manifest"; readonly repository: string; readonly reference: Reference }
  | { readonly kind: "tags"; readonly repository: string }
  | { readonly kind: "referrers"; readonly repository: string; readonly digest: Digest }
  | { readonly kind: "uploads"; readonly repository: string }
  | { readonly kind: "upload"; readonly repository: string; readonly id: string };

const ROUTE =
  /^\/v2\/?(?:(?<=\/)(?:(?<catalog>_catalog)|(?<name>.+)\/(?:blobs\/uploads(?:\/(?<upload>[^/]*))?|blobs\/(?<blob>[^/]+)|manifests\/(?<manifest>[^/]+)|(?<tags>tags\/list)|referrers\/(?<referrers>[^/]+))))?$/;
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const UPLOAD_ID = /^[0-9a-f]{32}$/;

/** Characters of a repository's name; with it a name fits one path component of the files driver. */
const NAME_CHARACTERS_MAX = 255;

/** undefined for a path that is no endpoint. Throws RegistryError for a malformed name, tag or digest. */
export function parseRoute(pathname: string): Route | undefined {
  const groups = ROUTE.exec(decodePath(pathname))?.groups;
  if (groups === undefined) return undefined;
  if (groups["catalog"] !== undefined) return { kind: "catalog" };
  const name = groups["name"];
  if (name === undefined) return { kind: "base" };
  const repository = parseRepositoryName(name);
  if (groups["blob"] !== undefined) return { kind: "blob", repository, digest: parseRequestDigest(groups["blob"]) };
  if (groups["manifest"] !== undefined)
    return { kind: "manifest", repository, reference: parseReference(groups["manifest"]) };
  if (groups["tags"] !== undefined) return { kind: "tags", repository };
  if (groups["referrers"] !== undefined) {
    return { kind: "referrers", repository, digest: parseRequestDigest(groups["referrers"]) };
  }
  const id = groups["upload"] ?? "";
  if (id === "") return { kind: "uploads", repository };
  if (!UPLOAD_ID.test(id)) throw new RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
  return { kind: "upload", repository, id };
}

export function isRepositoryName(name: string): boolean {
  return name.length <= NAME_CHARACTERS_MAX && NAME.test(name);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Throws RegistryError 400 TAG_INVALID. */
export function parseTag(text: string): string {
  if (!isTag(text)) throw new RegistryError(400, "TAG_INVALID", `tag ${JSON.stringify(text.slice(0, 160))} is invalid`);
  return text;
}

/** Throws RegistryError 400 DIGEST_INVALID. */
export function parseRequestDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new RegistryError(400, "DIGEST_INVALID", "digest is not sha256:<64 hex> or sha512:<128 hex>", {
    detail: { digest: text.slice(0, 160) },
  });
}

function parseRepositoryName(name: string): string {
  if (!isRepositoryName(name)) {
    throw new RegistryError(400, "NAME_INVALID", "repository name is invalid", {
      detail: { name: name.slice(0, 300) },
    });
  }
  return name;
}

function parseReference(text: string): Reference {
  if (text.includes(":")) return { kind: "digest", digest: parseRequestDigest(text) };
  return { kind: "tag", tag: parseTag(text) };
}

function decodePath(pathname: string): string {
  if (!pathname.includes("%")) return pathname;
  try {
    return decodeURIComponent(pathname);
  } catch {
    throw new RegistryError(400, "NAME_INVALID", "path is not valid percent-encoded UTF-8");
  }
}

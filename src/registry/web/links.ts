/**
 * Addresses of the web page, both ways. All but the home page lie below /-/, where no repository and nothing of /v2/ can lie,
 * and an image's address reads like its reference: /-/image/team/os:v1, /-/image/team/os@sha256:….
 */
import { type Digest, isDigest } from "../../core/digest.ts";
import { isRepositoryName, isTag, type Reference } from "../route.ts";

export type WebRoute =
  | { readonly kind: "home" | "style" | "icon" | "sign-in" | "sign-out" | "unknown" }
  | { readonly kind: "repository"; readonly repository: string }
  | { readonly kind: "image"; readonly repository: string; readonly reference: Reference }
  | { readonly kind: "compare"; readonly repository: string };

export const HOME = "/";
export const STYLE = "/-/style.css";
export const ICON = "/-/icon.svg";
export const SIGN_IN = "/-/sign-in";
export const SIGN_OUT = "/-/sign-out";

export function repositoryLink(repository: string): string {
  return `/-/repository/${repository}`;
}

export function imageLink(repository: string, reference: Reference | Digest): string {
  return `/-/image/${repository}${typeof reference === "string" ? `@${reference}` : suffix(reference)}`;
}

export function compareLink(repository: string, from?: string, to?: string): string {
  const query = new URLSearchParams([
    ...(from === undefined ? [] : [["from", from]]),
    ...(to === undefined ? [] : [["to", to]]),
  ]);
  return `/-/compare/${repository}${query.size > 0 ? `?${query.toString()}` : ""}`;
}

/** `:v1` or `@sha256:…`. */
export function suffix(reference: Reference): string {
  return reference.kind === "tag" ? `:${reference.tag}` : `@${reference.digest}`;
}

/** A tag or a digest; undefined for text that is neither. */
export function parseReference(text: string): Reference | undefined {
  if (isDigest(text)) return { kind: "digest", digest: text };
  return isTag(text) ? { kind: "tag", tag: text } : undefined;
}

const FIXED: Readonly<Record<string, WebRoute>> = {
  [HOME]: { kind: "home" },
  [STYLE]: { kind: "style" },
  [ICON]: { kind: "icon" },
  [SIGN_IN]: { kind: "sign-in" },
  [SIGN_OUT]: { kind: "sign-out" },
};

/** undefined for a path that is not the web page's. */
export function parseWebRoute(pathname: string): WebRoute | undefined {
  if (pathname !== HOME && !pathname.startsWith("/-/")) return undefined;
  const fixed = FIXED[pathname];
  if (fixed !== undefined) return fixed;
  const [, kind, rest = ""] = /^\/-\/(repository|image|compare)\/(.+)$/.exec(decode(pathname)) ?? [];
  const [, repository = "", separator, selector] = /^([^:@]+)(?:([:@])(.+))?$/.exec(rest) ?? [];
  if (!isRepositoryName(repository)) return { kind: "unknown" };
  if (kind !== "image")
    return selector === undefined && kind !== undefined ? asListRoute(kind, repository) : { kind: "unknown" };
  const reference = parseReference(selector ?? "");
  if (reference === undefined || (reference.kind === "digest") !== (separator === "@")) return { kind: "unknown" };
  return { kind: "image", repository, reference };
}

function asListRoute(kind: string, repository: string): WebRoute {
  return { kind: kind === "compare" ? "compare" : "repository", repository };
}

function decode(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return "";
  }
}

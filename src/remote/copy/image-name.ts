/**
 * ImageName: where an image lies, as a person writes it: `docker://HOST/NAME:TAG`, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`,
 * `docker-archive:FILE[:NAME]`, `dir:DIR`, `containers-storage:NAME`, `berth:NAME`. What is none of these is a name in berth's store.
 *
 * @see containers-transports(5)
 */
import { formatImageRef, type ImageRef, parseImageRef } from "../../oci/reference.ts";

export const FILE_TRANSPORTS = ["oci", "oci-archive", "docker-archive", "dir"] as const;

export type ImageName =
  | { readonly kind: "docker"; readonly ref: ImageRef }
  | { readonly kind: (typeof FILE_TRANSPORTS)[number]; readonly path: string; readonly ref: string | undefined }
  | { readonly kind: "containers-storage" | "berth"; readonly name: string };

/** Throws SyntaxError. */
export function parseImageName(text: string): ImageName {
  const bad = (wanted: string): SyntaxError =>
    new SyntaxError(`Cannot read image name ${JSON.stringify(text.slice(0, 300))}: wanted ${wanted}`);
  const [, transport = "", rest = ""] = /^([a-z][a-z-]*):(.*)$/s.exec(text) ?? [];
  if (transport === "docker" && rest.startsWith("//")) return { kind: "docker", ref: parseImageRef(rest.slice(2)) };
  if (transport === "docker") throw bad("docker://HOST/NAME[:TAG]");
  const kind = FILE_TRANSPORTS.find((known) => known === transport);
  if (kind === "dir") {
    if (rest === "") throw bad("dir:DIRECTORY");
    return { kind, path: rest, ref: undefined };
  }
  if (kind !== undefined) {
    // The first colon ends the path: names have colons themselves.
    const colon = rest.indexOf(":");
    const path = colon < 0 ? rest : rest.slice(0, colon);
    const ref = colon < 0 ? undefined : rest.slice(colon + 1);
    if (path === "" || ref === "") throw bad(`${kind}:PATH or ${kind}:PATH:NAME`);
    return { kind, path, ref: kind === "docker-archive" && ref !== undefined ? dockerTag(ref) : ref };
  }
  if (transport === "containers-storage" || transport === "berth") {
    if (rest === "") throw bad(`${transport}:NAME`);
    return { kind: transport, name: rest };
  }
  if (text === "") throw bad("a name");
  return { kind: "berth", name: text };
}

/** What docker calls it: `debian` is `docker.io/library/debian:latest`. */
function dockerTag(text: string): string {
  const first = text.split("/")[0] ?? "";
  const isFull = text.includes("/") && (first === "localhost" || /[.:]/.test(first));
  return formatImageRef(parseImageRef(isFull ? text : `docker.io/${text.includes("/") ? text : `library/${text}`}`));
}

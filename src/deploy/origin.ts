/**
 * Origin: where a deployment came from, the file state/deploy/<id>/<id>.origin in INI form.
 *
 * @see bootc crates/lib/src/bootc_composefs/state.rs; ostree-ext container reference syntax
 */
import { type Digest, parseDigest } from "../core/digest.ts";

/** An image and how it is fetched. */
export interface ImageSpec {
  /** registry, oci, oci-archive, containers-storage, docker-daemon, dir. */
  readonly transport: string;
  /** For `registry`: HOST/NAME[:TAG][@DIGEST]. */
  readonly image: string;
}

export interface Origin {
  readonly image: ImageSpec;
  readonly bootType: "bls" | "uki";
  /** Lower-case hex of sha256 over kernel and initrd. */
  readonly bootDigest: string | undefined;
  readonly manifestDigest: Digest | undefined;
}

/** Throws SyntaxError naming the line or key. Keys that are not ours are skipped. */
export function parseOrigin(text: string): Origin {
  const values = parseIni(text);
  const reference = values.get("origin.container-image-reference");
  if (reference === undefined)
    throw new SyntaxError("Cannot parse origin: container-image-reference is missing in [origin]");
  const bootType = values.get("boot.boot_type") ?? "bls";
  if (bootType !== "bls" && bootType !== "uki") {
    throw new SyntaxError(`Cannot parse origin: boot_type is ${JSON.stringify(bootType)}, wanted bls or uki`);
  }
  const manifest = values.get("image.manifest_digest");
  return {
    image: parseReference(reference),
    bootType,
    bootDigest: values.get("boot.digest"),
    manifestDigest: manifest === undefined ? undefined : parseDigest(manifest),
  };
}

export function formatOrigin(origin: Origin): string {
  const boot = origin.bootDigest === undefined ? "" : `digest=${origin.bootDigest}\n`;
  const image = origin.manifestDigest === undefined ? "" : `\n[image]\nmanifest_digest=${origin.manifestDigest}\n`;
  return `[origin]\ncontainer-image-reference=ostree-unverified-image:${formatTransport(origin.image)}\n\n[boot]\nboot_type=${origin.bootType}\n${boot}${image}`;
}

/** `docker://host/name:tag`, `oci:/path`, ... */
export function formatTransport(spec: ImageSpec): string {
  return spec.transport === "registry" ? `docker://${spec.image}` : `${spec.transport}:${spec.image}`;
}

/** As `status` shows it: the bare image for a registry. */
export function formatImageSpec(spec: ImageSpec): string {
  return spec.transport === "registry" ? spec.image : formatTransport(spec);
}

const TRANSPORTS = ["registry", "oci", "oci-archive", "containers-storage", "docker-daemon", "dir"];

function parseReference(text: string): ImageSpec {
  const registry = /^(?:ostree-unverified-registry|ostree-remote-registry:[^:]+):(.+)$/.exec(text);
  if (registry?.[1] !== undefined) return { transport: "registry", image: registry[1] };
  const rest = /^(?:ostree-unverified-image|ostree-image-signed|ostree-remote-image:[^:]+):(.+)$/.exec(text)?.[1];
  const docker = rest === undefined ? undefined : /^docker:\/\/(.+)$/.exec(rest)?.[1];
  if (docker !== undefined) return { transport: "registry", image: docker };
  const match = rest === undefined ? undefined : /^([a-z-]+):(.+)$/.exec(rest);
  if (match?.[1] === undefined || match[2] === undefined || !TRANSPORTS.includes(match[1])) {
    throw new SyntaxError(`Cannot parse origin: container-image-reference is ${JSON.stringify(text.slice(0, 200))}`);
  }
  return { transport: match[1], image: match[2] };
}

function parseIni(text: string): Map<string, string> {
  const values = new Map<string, string>();
  let section = "";
  text.split("\n").forEach((line, i) => {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#") || trimmed.startsWith(";")) return;
    const header = /^\[([^\]]+)\]$/.exec(trimmed)?.[1];
    if (header !== undefined) {
      section = header;
      return;
    }
    const equals = trimmed.indexOf("=");
    if (equals <= 0)
      throw new SyntaxError(
        `Cannot parse origin, line ${i + 1}: ${JSON.stringify(trimmed.slice(0, 80))} is no key=value`,
      );
    values.set(`${section}.${trimmed.slice(0, equals).trim()}`, trimmed.slice(equals + 1).trim());
  });
  return values;
}

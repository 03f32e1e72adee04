/**
 * ImageRef: the name of an image in a registry, `host[:port]/path[:tag][@digest]`, parsed once.
 *
 * A first component without a dot, a colon and not `localhost` is no host: short names are refused with a hint, because an
 * operating system that guesses its registry is an operating system that somebody else installs.
 *
 * @see OCI distribution-spec, "Pulling manifests"; containers/image docker reference grammar
 */
import { type Digest, parseDigest } from "../core/digest.ts";

export interface ImageRef {
  /** `registry.example.com:5000` or `localhost`. */
  readonly host: string;
  /** `team/os`, lower case. */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;

/** Throws SyntaxError. A name with neither tag nor digest gets the tag `latest`. `docker://` in front is accepted. */
export function parseImageRef(text: string): ImageRef {
  const bad = (why: string): SyntaxError =>
    new SyntaxError(`Cannot parse image reference ${JSON.stringify(text.slice(0, 300))}: ${why}`);
  let rest = text.replace(/^docker:\/\//, "");
  let digest: Digest | undefined;
  const at = rest.indexOf("@");
  if (at >= 0) {
    try {
      digest = parseDigest(rest.slice(at + 1));
    } catch {
      throw bad("what follows @ is not a digest, wanted sha256:<64 hex>");
    }
    rest = rest.slice(0, at);
  }
  let tag: string | undefined;
  const colon = rest.lastIndexOf(":");
  if (colon > rest.lastIndexOf("/")) {
    tag = rest.slice(colon + 1);
    if (!TAG.test(tag))
      throw bad(`tag ${JSON.stringify(tag)} is not a letter, digit or _ followed by up to 127 of A-Za-z0-9._-`);
    rest = rest.slice(0, colon);
  }
  const slash = rest.indexOf("/");
  if (slash < 0) throw bad("it names no registry, wanted HOST/NAME[:TAG], e.g. localhost/name:tag");
  const host = rest.slice(0, slash);
  const path = rest.slice(slash + 1);
  if (host !== "localhost" && !/[.:]/.test(host))
    throw bad(`${JSON.stringify(host)} is no registry host, wanted HOST/NAME[:TAG]`);
  if (!HOST.test(host)) throw bad(`${JSON.stringify(host)} is no host[:port]`);
  if (!PATH.test(path)) throw bad("the name must be lower-case letters and digits, separated by one of . _ - /");
  if (host.length + path.length > 254) throw bad("host and name are longer than 255 characters");
  if (tag === undefined && digest === undefined) tag = "latest";
  return { host, path, tag, digest };
}

/** `team/os`, without host, tag and digest. */
export function isRepositoryPath(text: string): boolean {
  return PATH.test(text);
}

/** Back to text: `host/path[:tag][@digest]`. */
export function formatImageRef(ref: ImageRef): string {
  return `${formatRepository(ref)}${ref.tag === undefined ? "" : `:${ref.tag}`}${ref.digest === undefined ? "" : `@${ref.digest}`}`;
}

/** `host/path`, without tag and digest. */
export function formatRepository(ref: ImageRef): string {
  return `${ref.host}/${ref.path}`;
}

/** docker.io's other name, and its images without a namespace, as they are meant: `docker.io/library/debian`. */
export function expandDockerHub(ref: ImageRef): ImageRef {
  if (ref.host !== "docker.io" && ref.host !== "index.docker.io") return ref;
  return { ...ref, host: "docker.io", path: ref.path.includes("/") ? ref.path : `library/${ref.path}` };
}

/** What a registry's manifest endpoint is asked for: the digest if there is one, else the tag. */
export function manifestSelector(ref: ImageRef): string {
  return ref.digest ?? ref.tag ?? "latest";
}

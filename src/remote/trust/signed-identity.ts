/**
 * SignedIdentity: which name a signature must carry to count for an image. A signature says "this digest is NAME"; without a check
 * of the name, any image of the same signer could stand in for any other.
 *
 * @see containers-policy.json(5) "signedIdentity"
 */
import { Failure } from "../../core/failure.ts";
import { asExactObject, asObject, asString } from "../../core/json.ts";
import { expandDockerHub, formatRepository, type ImageRef, parseImageRef } from "../../oci/reference.ts";
import { versionOf } from "./scopes.ts";

export type SignedIdentity =
  /** The very reference; by digest, another one of the same repository will do. What counts when nothing is said. */
  | { readonly kind: "matchRepoDigestOrExact" }
  | { readonly kind: "matchExact" }
  | { readonly kind: "matchRepository" }
  | { readonly kind: "exactReference"; readonly dockerReference: string }
  | { readonly kind: "exactRepository"; readonly dockerRepository: string }
  /** The signatures were made under another name: `prefix` of the image stands for `signedPrefix`. */
  | { readonly kind: "remapIdentity"; readonly prefix: string; readonly signedPrefix: string }
  /** Whatever it is called, or not at all. No policy says so. */
  | { readonly kind: "anyName" };

/** Throws SyntaxError naming the field. */
export function parseSignedIdentity(value: unknown, what: string): SignedIdentity {
  const kind = asString(asObject(value, what)["type"], `${what}.type`);
  const field = (name: string, ...others: string[]): string =>
    asString(asExactObject(value, what, ["type", name, ...others])[name], `${what}.${name}`);
  switch (kind) {
    case "matchRepoDigestOrExact":
    case "matchExact":
    case "matchRepository":
      asExactObject(value, what, ["type"]);
      return { kind };
    case "exactReference": {
      const dockerReference = field("dockerReference");
      if (!readName(dockerReference)?.version)
        throw new SyntaxError(
          `Cannot read ${what}.dockerReference: ${JSON.stringify(dockerReference)} is no full reference`,
        );
      return { kind, dockerReference };
    }
    case "exactRepository": {
      const dockerRepository = field("dockerRepository");
      if (readName(dockerRepository) === undefined)
        throw new SyntaxError(
          `Cannot read ${what}.dockerRepository: ${JSON.stringify(dockerRepository)} is no repository`,
        );
      return { kind, dockerRepository };
    }
    case "remapIdentity":
      return {
        kind,
        prefix: asPrefix(field("prefix", "signedPrefix"), `${what}.prefix`),
        signedPrefix: asPrefix(field("signedPrefix", "prefix"), `${what}.signedPrefix`),
      };
    default:
      throw new SyntaxError(
        `Cannot read ${what}.type: it is ${JSON.stringify(kind)}, wanted matchRepoDigestOrExact or another`,
      );
  }
}

/** Does the name `signed` in a signature, or none, count for `ref`? */
export function matchesIdentity(identity: SignedIdentity, ref: ImageRef, signed: string | undefined): boolean {
  if (identity.kind === "anyName") return true;
  const found = signed === undefined ? undefined : readName(signed);
  const wanted = nameOf(ref);
  if (found === undefined) return false;
  switch (identity.kind) {
    case "matchExact":
      return equalsFully(found, wanted);
    case "matchRepoDigestOrExact":
      return equalsOrSameRepository(found, wanted);
    case "matchRepository":
      return found.repository === wanted.repository;
    case "exactReference":
      return equalsFully(found, readName(identity.dockerReference));
    case "exactRepository":
      return found.repository === readName(identity.dockerRepository)?.repository;
    case "remapIdentity":
      return equalsOrSameRepository(found, remap(wanted, identity));
  }
}

/** Failure "usage" for what is no reference: a signature in such a name counts nowhere. */
export function requireSignedName(text: string): void {
  if (readName(text) !== undefined) return;
  throw new Failure(
    "usage",
    `Cannot use --identity ${JSON.stringify(text)}: wanted an image reference, HOST/NAME[:TAG]`,
  );
}

export function describeIdentity(identity: SignedIdentity, ref: ImageRef): string {
  const wanted = nameOf(ref);
  switch (identity.kind) {
    case "matchExact":
      return `${wanted.repository}${wanted.version}`;
    case "matchRepoDigestOrExact":
      return describeWanted(wanted);
    case "matchRepository":
      return `the repository ${wanted.repository}`;
    case "exactReference":
      return identity.dockerReference;
    case "exactRepository":
      return `the repository ${identity.dockerRepository}`;
    case "remapIdentity":
      return describeWanted(remap(wanted, identity));
    case "anyName":
      return "any name";
  }
}

/** A name in two parts; `version` is empty, `:tag`, `@digest` or both. */
interface Name {
  readonly repository: string;
  readonly version: string;
}

function nameOf(ref: ImageRef): Name {
  return { repository: formatRepository(expandDockerHub(ref)), version: versionOf(ref) };
}

/** undefined for what is no reference. A name without a registry is docker.io's, as docker writes it. */
function readName(text: string): Name | undefined {
  const ref = refFrom(text);
  if (ref === undefined) return undefined;
  // The parser adds :latest to a bare name; here that difference counts.
  const tag = ref.tag === undefined || (ref.tag === "latest" && !/:latest(?:@|$)/.test(text)) ? "" : `:${ref.tag}`;
  return {
    repository: formatRepository(expandDockerHub(ref)),
    version: `${tag}${ref.digest === undefined ? "" : `@${ref.digest}`}`,
  };
}

function refFrom(text: string): ImageRef | undefined {
  const first = text.split("/")[0] ?? "";
  const hasHost = text.includes("/") && (first === "localhost" || /[.:]/.test(first));
  if (text.includes("://")) return undefined;
  try {
    return parseImageRef(hasHost ? text : `docker.io/${text}`);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function equalsFully(found: Name, wanted: Name | undefined): boolean {
  return found.version !== "" && found.repository === wanted?.repository && found.version === wanted.version;
}

function equalsOrSameRepository(found: Name, wanted: Name): boolean {
  if (found.version === "" || found.repository !== wanted.repository) return false;
  return wanted.version.startsWith("@") || found.version === wanted.version;
}

function describeWanted({ repository, version }: Name): string {
  return version.startsWith("@") ? `any tag or digest of ${repository}` : `${repository}${version}`;
}

function remap(name: Name, { prefix, signedPrefix }: { prefix: string; signedPrefix: string }): Name {
  const { repository } = name;
  if (repository !== prefix && !repository.startsWith(`${prefix}/`)) return name;
  return { ...name, repository: signedPrefix + repository.slice(prefix.length) };
}

/** A registry, a namespace or a repository. */
function asPrefix(text: string, what: string): string {
  if (readName(text.includes("/") ? text : `${text}/x`)?.version !== "")
    throw new SyntaxError(`Cannot read ${what}: ${JSON.stringify(text)} is no registry, namespace or repository`);
  return text;
}

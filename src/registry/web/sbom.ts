/**
 * Package lists from a software bill of materials in JSON: SPDX 2.x or CycloneDX, of which only names and versions count here.
 *
 * @see SPDX 2.3 (clauses 6, 7 and 11), CycloneDX 1.6
 */
import { compareBytes } from "../../core/bytes.ts";
import { asArray, asObject, asString, type JsonObject, optional, parseJsonObject } from "../../core/json.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import { checkJsonShape } from "../json-limits.ts";

/** Name to version; versions installed side by side are joined by ", ". Sorted by name. */
export type Packages = ReadonlyMap<string, string>;

/** True for the artifact type or the layer type of an SBOM that parsePackages() may read. */
export function isSbomType(mediaType: string | undefined): boolean {
  return /^(?:application|text)\/(?:spdx|vnd\.cyclonedx)\+json$/.test(mediaType ?? "");
}

/** The blob that holds the SBOM among an artifact's. */
export function sbomLayer(layers: readonly Descriptor[]): Descriptor | undefined {
  return layers.find((layer) => isSbomType(layer.mediaType)) ?? layers[0];
}

/** More than any distribution has in one image; each is a row of the page. */
const PACKAGES_MAX = 20_000;

/** Throws SyntaxError naming the field, or past a limit: anybody who may push may attach one. */
export function parsePackages(bytes: Buffer): Packages {
  checkJsonShape(bytes, "SBOM");
  const document = parseJsonObject(bytes.toString("utf8"), "SBOM");
  const found = "spdxVersion" in document ? spdxPackages(document) : cyclonedxPackages(document);
  if (found.length > PACKAGES_MAX)
    throw new SyntaxError(`Cannot read SBOM: it lists more than ${PACKAGES_MAX} packages`);
  const versions = new Map<string, Set<string>>();
  for (const [name, version] of found) versions.set(name, (versions.get(name) ?? new Set()).add(version));
  return new Map(
    [...versions]
      .sort(([left], [right]) => compareBytes(left, right))
      .map(([name, each]) => [
        name,
        [...each]
          .filter((version) => version !== "")
          .sort(compareBytes)
          .join(", "),
      ]),
  );
}

type Entry = readonly [name: string, version: string];

/** What the document describes is the image itself, not a package in it. */
function spdxPackages(document: JsonObject): Entry[] {
  const described = new Set(optional(document["documentDescribes"], "SBOM.documentDescribes", asArray) ?? []);
  for (const entry of optional(document["relationships"], "SBOM.relationships", asArray) ?? []) {
    const relationship = asObject(entry, "SBOM.relationships[]");
    if (relationship["relationshipType"] === "DESCRIBES") described.add(relationship["relatedSpdxElement"]);
  }
  return (optional(document["packages"], "SBOM.packages", asArray) ?? []).flatMap((entry, i) => {
    const item = asObject(entry, `SBOM.packages[${i}]`);
    return described.has(item["SPDXID"]) ? [] : [nameAndVersion(item, "versionInfo", `SBOM.packages[${i}]`)];
  });
}

function cyclonedxPackages(document: JsonObject): Entry[] {
  if (document["bomFormat"] !== "CycloneDX")
    throw new SyntaxError("Cannot read SBOM: it is neither SPDX nor CycloneDX");
  return (optional(document["components"], "SBOM.components", asArray) ?? []).flatMap((entry, i) => {
    const item = asObject(entry, `SBOM.components[${i}]`);
    return item["type"] === "file" ? [] : [nameAndVersion(item, "version", `SBOM.components[${i}]`)];
  });
}

function nameAndVersion(item: JsonObject, versionKey: string, where: string): Entry {
  return [
    asString(item["name"], `${where}.name`),
    optional(item[versionKey], `${where}.${versionKey}`, asString) ?? "",
  ];
}

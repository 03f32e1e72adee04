/** The page of one image, and that of the way from one image to another. */
import { compareBytes } from "../../core/bytes.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import type { Reference } from "../route.ts";
import type { Change, Comparison } from "./compare.ts";
import { html, type Html, type HtmlValue } from "./html.ts";
import type { ImageView, LayerView } from "./image-view.ts";
import { bar, compareForm, day, empty, type Page, section, shortDigest, size, table } from "./layout.ts";
import { HOME, imageLink, repositoryLink, suffix } from "./links.ts";
import type { Packages } from "./sbom.ts";
import type { UpgradeCost } from "./upgrade-cost.ts";

export interface ImagePageInput {
  readonly registry: string;
  readonly repository: string;
  readonly reference: Reference;
  readonly image: ImageView;
  /** Newest first. */
  readonly tags: readonly string[];
}

export function imagePage({ registry, repository, reference, image, tags }: ImagePageInput): Page {
  const name = `${repository}${suffix(reference)}`;
  const isIndex = image.variants.length > 0;
  const tag = reference.kind === "tag" ? reference.tag : undefined;
  return {
    title: name,
    path: crumbs(repository),
    body: html`<h1>${repository}<wbr><span class="ref">${reference.kind === "tag" ? suffix(reference) : `@${reference.digest.slice(0, 19)}…`}</span></h1>
<p class="command"><code>berth pull ${registry}/${name}</code></p>
${facts(image)}
${tags.length > 1 && tag !== undefined && section("Compare", undefined, compareForm(repository, tags, olderThan(tags, tag), tag))}
${isIndex ? section("Images", image.variants.length, variantTable(repository, image.variants)) : section("Layers", image.layers.length, layerTable(image.layers))}
${!isIndex && section("Packages", image.packages?.size, packageTable(image.packages))}
${!isIndex && section("Labels", undefined, mapTable("Labels", image.labels, "This image has no labels."))}
${Object.keys(image.annotations).length > 0 && section("Annotations", undefined, mapTable("Annotations", image.annotations, ""))}
${image.referrers.length > 0 && section("Attached", image.referrers.length, referrerTable(repository, image.referrers))}`,
  };
}

export interface ComparePageInput {
  readonly repository: string;
  readonly tags: readonly string[];
  readonly from: { readonly reference: Reference; readonly image: ImageView };
  readonly to: { readonly reference: Reference; readonly image: ImageView };
  readonly comparison: Comparison;
  /** undefined when it cannot be told. */
  readonly cost: UpgradeCost | undefined;
}

export function comparePage({ repository, tags, from, to, comparison, cost }: ComparePageInput): Page {
  const { layers, labels, packages } = comparison;
  const name = (reference: Reference): string =>
    reference.kind === "tag" ? reference.tag : `${reference.digest.slice(0, 19)}…`;
  const link = (side: { reference: Reference }): Html =>
    html`<a href="${imageLink(repository, side.reference)}"><code>${name(side.reference)}</code></a>`;
  return {
    title: `${name(from.reference)} → ${name(to.reference)} · ${repository}`,
    path: crumbs(repository),
    body: html`<h1>${repository}</h1>
<p class="lead">${link(from)} <span aria-label="to">→</span> ${link(to)}</p>
${tags.length > 1 && compareForm(repository, tags, textOf(from.reference), textOf(to.reference))}
${costSection(from.image, to.image, cost)}
${section("Packages", packages?.length, packageChanges(packages))}
${section("Labels", labels.length, labels.length === 0 ? empty("The labels are the same.") : changeTable("Labels", labels))}
${section("Layers", `${layers.added.length} new, ${layers.kept.length} shared, ${layers.removed.length} gone`, layerChanges(comparison))}`,
  };
}

function crumbs(repository: string) {
  return [
    { text: "Repositories", href: HOME },
    { text: repository, href: repositoryLink(repository) },
  ];
}

function textOf(reference: Reference): string {
  return reference.kind === "tag" ? reference.tag : reference.digest;
}

/** The tag after `tag` in a list that has the newest first; the one before it for the last. */
function olderThan(tags: readonly string[], tag: string): string | undefined {
  const at = tags.indexOf(tag);
  return tags[at + 1] ?? tags[at - 1];
}

function facts(image: ImageView): Html {
  const rows: readonly (readonly [string, HtmlValue])[] = [
    ["Digest", html`<code>${image.digest}</code>`],
    ["Type", html`<code>${image.mediaType}</code>`],
    ["Platform", image.platform],
    ["Made", image.created && day(image.created)],
    ["Size", image.variants.length === 0 && size(image.totalBytes)],
  ];
  const shown = rows.filter(([, value]) => value !== undefined && value !== false);
  return html`<dl class="facts">${shown.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function layerTable(layers: readonly LayerView[]): Html {
  if (layers.length === 0) return empty("This image has no layers.");
  const largest = Math.max(...layers.map((layer) => layer.size));
  const rows = layers.map((layer, i) => [
    i + 1,
    instruction(layer),
    shortDigest(layer.digest),
    html`<span class="quiet">${layer.mediaType.replace(/^application\/vnd\.(?:oci\.image|docker\.image\.rootfs)\./, "")}</span>`,
    html`${bar(layer.size, largest)}${size(layer.size)}`,
  ]);
  const columns = [
    { name: "No.", kind: "number" },
    { name: "Made by", kind: "wide" },
    { name: "Digest", kind: "code" },
    { name: "Type" },
    { name: "Size", kind: "number" },
  ] as const;
  return table("Layers", columns, rows);
}

function instruction(layer: LayerView): Html {
  if (layer.instruction === undefined) return html`<span class="quiet">not recorded</span>`;
  const [, verb = "", rest = layer.instruction] = /^([A-Z]+)(\s[^]*)$/.exec(layer.instruction) ?? [];
  return html`<code class="made"><b>${verb}</b>${rest}</code>`;
}

function variantTable(repository: string, variants: readonly Descriptor[]): Html {
  const rows = variants.map((variant) => [
    html`<a href="${imageLink(repository, variant.digest)}">${platformOf(variant)}</a>`,
    shortDigest(variant.digest),
    html`<span class="quiet">${variant.artifactType ?? variant.mediaType}</span>`,
  ]);
  return table("Images", [{ name: "Platform" }, { name: "Digest", kind: "code" }, { name: "Type" }], rows);
}

function platformOf({ platform }: Descriptor): string {
  if (platform === undefined) return "any";
  return [platform.os, platform.architecture, platform.variant].filter((part) => part !== undefined).join("/");
}

function packageTable(packages: Packages | undefined): Html {
  if (packages === undefined) {
    return empty(
      "No list of packages is attached to this image. One in SPDX or CycloneDX, attached as a referrer, is shown here.",
    );
  }
  if (packages.size === 0) return empty("The attached list of packages is empty.");
  const rows = [...packages].map(([name, version]) => [name, html`<code>${version}</code>`]);
  return html`<details${packages.size <= 30 && html` open`}><summary>Show all</summary>${table("Packages", [{ name: "Package" }, { name: "Version" }], rows)}</details>`;
}

function mapTable(caption: string, values: Readonly<Record<string, string>>, nothing: string): Html {
  const entries = Object.entries(values).sort(([left], [right]) => compareBytes(left, right));
  if (entries.length === 0) return empty(nothing);
  const rows = entries.map(([name, value]) => [html`<code>${name}</code>`, value]);
  return table(caption, [{ name: "Name" }, { name: "Value", kind: "wide" }], rows);
}

function referrerTable(repository: string, referrers: readonly Descriptor[]): Html {
  const rows = referrers.map((referrer) => [
    html`<a href="${imageLink(repository, referrer.digest)}">${referrer.artifactType ?? referrer.mediaType}</a>`,
    shortDigest(referrer.digest),
  ]);
  return table("Attached", [{ name: "Type" }, { name: "Digest", kind: "code" }], rows);
}

function costSection(from: ImageView, to: ImageView, cost: UpgradeCost | undefined): Html {
  if (from.digest === to.digest) return empty("Both are the same image: there is nothing to move.");
  if (from.variants.length + to.variants.length > 0) {
    return empty("These are images for several platforms: compare those of one to see what an upgrade moves.");
  }
  if (cost === undefined) return empty("Parts of these images are not here, so what an upgrade moves cannot be told.");
  return html`<section class="cost"><h2>An upgrade moves</h2>
<p class="figure">${size(cost.bytes)} <small>of ${size(to.totalBytes)}</small></p>
${bar(cost.bytes, to.totalBytes)}
<p class="quiet">${cost.ways}</p></section>`;
}

function packageChanges(packages: readonly Change[] | undefined): Html {
  if (packages === undefined) return empty("Packages can be compared when a list of them is attached to both images.");
  return packages.length === 0 ? empty("The packages are the same.") : changeTable("Packages", packages);
}

function changeTable(caption: string, changes: readonly Change[]): Html {
  const side = (value: string | undefined, otherwise: string): Html =>
    value === undefined ? html`<span class="quiet">${otherwise}</span>` : html`<code>${value}</code>`;
  const rows = changes.map(({ name, from, to }) => [
    html`<span class="mark ${from === undefined ? "added" : to === undefined ? "removed" : "changed"}">${from === undefined ? "new" : to === undefined ? "gone" : "changed"}</span> ${name}`,
    side(from, "–"),
    side(to, "–"),
  ]);
  return table(caption, [{ name: "Name" }, { name: "From", kind: "wide" }, { name: "To", kind: "wide" }], rows);
}

function layerChanges({ layers }: Comparison): Html {
  const row = (mark: string, word: string) => (layer: LayerView) => [
    html`<span class="mark ${mark}">${word}</span>`,
    instruction(layer),
    shortDigest(layer.digest),
    size(layer.size),
  ];
  const rows = [
    ...layers.added.map(row("added", "new")),
    ...layers.kept.map(row("kept", "shared")),
    ...layers.removed.map(row("removed", "gone")),
  ];
  const columns = [
    { name: "Layer" },
    { name: "Made by", kind: "wide" },
    { name: "Digest", kind: "code" },
    { name: "Size", kind: "number" },
  ] as const;
  return rows.length === 0 ? empty("Neither image has layers.") : table("Layers", columns, rows);
}

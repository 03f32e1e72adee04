/** For tests: images with history, labels, SBOMs and deltas, pushed through the API as a client would. */
import { type Digest, digestOf } from "../../core/digest.ts";
import { CONFIG, LAYER_GZIP, MANIFEST } from "../../oci/media-types.ts";
import type { TestRegistry } from "../testing.ts";

export interface ImageSpec {
  /** What made each layer; its bytes are this text, so equal texts are shared layers. */
  readonly layers: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly packages?: Readonly<Record<string, string>>;
  readonly created?: string;
}

export type Push = Pick<TestRegistry, "call" | "pushBlob">;

/** Returns the manifest's digest. */
export async function pushWebImage(to: Push, repository: string, tag: string, spec: ImageSpec): Promise<Digest> {
  const layers = [];
  for (const text of spec.layers) {
    layers.push({ mediaType: LAYER_GZIP, digest: await to.pushBlob(repository, text), size: Buffer.byteLength(text) });
  }
  const created = spec.created ?? "2026-11-20T08:00:00Z";
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created,
    config: { Labels: spec.labels ?? {} },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.digest) },
    history: [
      { created, created_by: "ENV A=b", empty_layer: true },
      ...spec.layers.map((text) => ({ created, created_by: text })),
    ],
  });
  const configEntry = {
    mediaType: CONFIG,
    digest: await to.pushBlob(repository, config),
    size: Buffer.byteLength(config),
  };
  const digest = await pushManifest(to, repository, tag, { config: configEntry, layers });
  if (spec.packages !== undefined) {
    const sbom = {
      spdxVersion: "SPDX-2.3",
      packages: Object.entries(spec.packages).map(([name, versionInfo]) => ({ name, versionInfo })),
    };
    await attach(to, repository, digest, "application/spdx+json", JSON.stringify(sbom));
  }
  return digest;
}

/** An artifact that refers to `subject`, with one layer. */
export async function attach(
  to: Push,
  repository: string,
  subject: Digest,
  artifactType: string,
  content: string,
  annotations: Readonly<Record<string, string>> = {},
): Promise<void> {
  const layer = {
    mediaType: artifactType,
    digest: await to.pushBlob(repository, content),
    size: Buffer.byteLength(content),
  };
  const config = {
    mediaType: "application/vnd.oci.empty.v1+json",
    digest: await to.pushBlob(repository, "{}"),
    size: 2,
  };
  const extra = { artifactType, annotations, subject: { mediaType: MANIFEST, digest: subject, size: 1 } };
  await pushManifest(to, repository, undefined, { config, layers: [layer], ...extra });
}

async function pushManifest(to: Push, repository: string, tag: string | undefined, parts: object): Promise<Digest> {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, ...parts });
  const digest = digestOf(body);
  const headers = { "content-type": MANIFEST };
  const answer = await to.call("PUT", `/v2/${repository}/manifests/${tag ?? digest}`, { body, headers });
  if (answer.status !== 201) throw new Error(`push of a manifest: ${answer.status} ${await answer.text()}`);
  return digest;
}

/** Tars in, dumps and image ids out, as composefs-rs 0.9.0 made them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { collectBytes, streamOf } from "../../core/bytes.ts";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { createLayerMerger } from "../../tree/apply-layer.ts";
import { bootTransform } from "../../tree/boot-transform.ts";
import type { Directory, FileContent, FileLeaf } from "../../tree/node.ts";
import { ociTransform } from "../../tree/oci-transform.ts";
import { formatDump } from "../dumpfile/format.ts";
import { parseDump } from "../dumpfile/parse.ts";
import { readTar } from "../tar/read.ts";
import { verityDigest } from "../verity/verity.ts";
import { writeErofs } from "./write.ts";

const VECTORS = new URL("../../../test/vectors/composefs/boot/", import.meta.url);
const INLINE_MAX_BYTES = 64;

function read(name: string): Buffer {
  return readFileSync(new URL(name, VECTORS));
}

async function mergeTar(
  name: string,
  algorithm: DigestAlgorithm,
): Promise<{ tree: Directory; objects: Map<string, Buffer> }> {
  const objects = new Map<string, Buffer>();
  const store = (bytes: Buffer): FileContent => {
    if (bytes.length <= INLINE_MAX_BYTES) return { kind: "inline", bytes };
    const objectId = verityDigest(bytes, algorithm);
    objects.set(objectId, bytes);
    return { kind: "external", objectId };
  };
  const merger = createLayerMerger();
  for await (const { member, content } of readTar(streamOf(read(name)))) {
    merger.apply(member.kind === "file" ? { ...member, content: store(await collectBytes(content)) } : member);
  }
  return { tree: merger.finish(), objects };
}

function checkStage(tree: Directory, name: string, stage: string, algorithm: DigestAlgorithm): void {
  assert.equal(formatDump(tree), read(`${name}.${stage}.${algorithm}.dump`).toString());
  const id = verityDigest(writeErofs(tree, { algorithm }), algorithm);
  const line = read("digests.txt")
    .toString()
    .split("\n")
    .find((text) => text.startsWith(`${name} ${stage} v1 ${algorithm} `));
  assert.equal(id, line?.split(" ").at(-1));
}

for (const name of ["nosel", "selinux"]) {
  for (const algorithm of ["sha256", "sha512"] as const) {
    test(`${name}.tar through merge, ociTransform() and bootTransform() equals composefs-rs, ${algorithm}`, async () => {
      const { tree, objects } = await mergeTar(`${name}.tar`, algorithm);
      const readObject = (leaf: FileLeaf): Buffer => {
        const id = leaf.content.kind === "external" ? leaf.content.objectId : undefined;
        return objects.get(id ?? "") ?? assert.fail(`object ${id} is asked for but not there`);
      };
      checkStage(tree, name, "raw", algorithm);
      const oci = ociTransform(tree);
      checkStage(oci, name, "oci", algorithm);
      checkStage(tree, name, "raw", algorithm);
      checkStage(bootTransform(oci, { readFile: readObject }), name, "boot", algorithm);
      checkStage(oci, name, "oci", algorithm);
    });
    for (const stage of ["raw", "oci", "boot"]) {
      test(`writeErofs() of ${name}.${stage}.${algorithm}.dump equals composefs-rs`, () => {
        checkStage(parseDump(read(`${name}.${stage}.${algorithm}.dump`)), name, stage, algorithm);
      });
    }
  }
}

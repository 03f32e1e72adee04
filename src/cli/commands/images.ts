/** `berth images`: what is in the store. */
import { Failure } from "../../core/failure.ts";
import { digestHex } from "../../core/digest.ts";
import { formatBytes } from "../../core/units.ts";
import { parseImageRef } from "../../oci/reference.ts";
import type { Store, StoredImage } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { formatSince, formatTable, shortId } from "../table.ts";

interface ImageRow {
  readonly repository: string;
  readonly tag: string;
  readonly id: string;
  readonly digest: string;
  readonly created: string | undefined;
  /** Bytes of all layers, unpacked as tar; undefined when one is gone (`berth store fsck --repair` took it). */
  readonly size: number | undefined;
  readonly names: readonly string[];
}

export const imagesCommand = command({
  name: "images",
  summary: "List the images in the store",
  flags: {
    quiet: { type: "boolean", short: "q", summary: "ids only" },
    "no-trunc": { type: "boolean", summary: "whole ids" },
    digests: { type: "boolean", summary: "show manifest digests" },
  },
  operands: [{ name: "NAME", summary: "only images of this repository", optional: true }],
  needsRoot: true,
  async run(values, [name], context) {
    using store = openWorkstationStore(context.host);
    const rows = store.images().flatMap((image) => rowsOf(store, image));
    const wanted = name === undefined ? rows : rows.filter((row) => matches(row, name));
    if (name !== undefined && wanted.length === 0)
      throw new Failure("not-found", `Cannot list image "${name}": it is not in the store`);
    wanted.sort(
      (left, right) =>
        (right.created ?? "").localeCompare(left.created ?? "") || left.repository.localeCompare(right.repository),
    );
    return { rows: wanted, quiet: values.quiet, whole: values["no-trunc"], digests: values.digests };
  },
  json: ({ rows }) => rows,
  view({ rows, quiet, whole, digests }, context) {
    const id = (row: ImageRow): string => (whole ? `sha256:${row.id}` : shortId(row.id));
    if (quiet) return [...new Set(rows.map(id))].map((line) => `${line}\n`).join("");
    const digest = (text: string): string[] => (digests ? [text] : []);
    const header = ["REPOSITORY", "TAG", ...digest("DIGEST"), "IMAGE ID", "CREATED", "SIZE"];
    const lines = rows.map((row) => [
      row.repository,
      row.tag,
      ...digest(row.digest),
      id(row),
      formatSince(row.created, context.host.clock.now()),
      row.size === undefined ? "incomplete" : formatBytes(row.size),
    ]);
    return formatTable(header, lines);
  },
});

function rowsOf(store: Store, image: StoredImage): ImageRow[] {
  const layers = image.config.rootfs.diff_ids;
  const isWhole = layers.every((diffId) => store.hasLayer(diffId));
  const size = isWhole ? layers.reduce((sum, diffId) => sum + store.layerSize(diffId), 0) : undefined;
  const { created } = image.config;
  const common = {
    id: digestHex(image.manifest.config.digest),
    digest: image.digest,
    created,
    size,
    names: image.names,
  };
  if (image.names.length === 0) return [{ repository: "<none>", tag: "<none>", ...common }];
  return image.names.map((name) => {
    const ref = parseImageRef(name);
    return { repository: `${ref.host}/${ref.path}`, tag: ref.tag ?? "<none>", ...common };
  });
}

function matches(row: ImageRow, name: string): boolean {
  const full = row.tag === "<none>" ? row.repository : `${row.repository}:${row.tag}`;
  return (
    [full, row.repository].some((known) => known === name || known === `localhost/${name}`) || row.id.startsWith(name)
  );
}

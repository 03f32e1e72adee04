/**
 * ImageConfig: the image configuration document.
 *
 * @see OCI image-spec config.md
 */
import { type Digest, parseDigest } from "../core/digest.ts";
import { asArray, asObject, asString, asStringMap, optional, parseJsonObject } from "../core/json.ts";

export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly config: RunConfig;
  readonly rootfs: { readonly type: "layers"; readonly diff_ids: readonly Digest[] };
  readonly history: readonly HistoryEntry[];
}

/** How a container of this image runs; names as in the specification. */
export interface RunConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, Record<string, never>>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
}

export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** Throws SyntaxError naming the field. Unknown fields of `config` are dropped. */
export function parseImageConfig(text: string): ImageConfig {
  const object = parseJsonObject(text, "image config");
  const rootfs = asObject(object["rootfs"], "image config.rootfs");
  const created = optional(object["created"], "image config.created", asString);
  const author = optional(object["author"], "image config.author", asString);
  const variant = optional(object["variant"], "image config.variant", asString);
  return {
    ...(created !== undefined && { created }),
    ...(author !== undefined && { author }),
    architecture: asString(object["architecture"], "image config.architecture"),
    os: asString(object["os"], "image config.os"),
    ...(variant !== undefined && { variant }),
    config: parseRunConfig(object["config"] ?? {}),
    rootfs: {
      type: "layers",
      diff_ids: asArray(rootfs["diff_ids"], "image config.rootfs.diff_ids").map((id, i) =>
        parseDigest(asString(id, `image config.rootfs.diff_ids[${i}]`)),
      ),
    },
    history: (optional(object["history"], "image config.history", asArray) ?? []).map(parseHistoryEntry),
  };
}

/** The text that berth writes: keys sorted at the top, fixed order inside, so that equal values give equal bytes. */
export function formatImageConfig(config: ImageConfig): string {
  return JSON.stringify(config);
}

/** The image's version: label `org.opencontainers.image.version`, else `version`. */
export function imageVersion(config: ImageConfig): string | undefined {
  const labels = config.config.Labels ?? {};
  return labels["org.opencontainers.image.version"] ?? labels["version"];
}

/** The image's build time: label `org.opencontainers.image.created`, else the config's `created`. */
export function imageTimestamp(config: ImageConfig): string | undefined {
  return config.config.Labels?.["org.opencontainers.image.created"] ?? config.created;
}

function parseRunConfig(value: unknown): RunConfig {
  const object = asObject(value, "image config.config");
  const strings = (key: string): readonly string[] | undefined =>
    optional(object[key], `image config.config.${key}`, asArray)?.map((entry, i) =>
      asString(entry, `image config.config.${key}[${i}]`),
    );
  const set = (key: string): Record<string, Record<string, never>> | undefined => {
    const names = optional(object[key], `image config.config.${key}`, asObject);
    return names && Object.fromEntries(Object.keys(names).map((name) => [name, {}]));
  };
  const text = (key: string): string | undefined => optional(object[key], `image config.config.${key}`, asString);
  const found = {
    User: text("User"),
    ExposedPorts: set("ExposedPorts"),
    Env: strings("Env"),
    Entrypoint: strings("Entrypoint"),
    Cmd: strings("Cmd"),
    Volumes: set("Volumes"),
    WorkingDir: text("WorkingDir"),
    Labels: optional(object["Labels"], "image config.config.Labels", asStringMap),
    StopSignal: text("StopSignal"),
  };
  return Object.fromEntries(Object.entries(found).filter(([, entry]) => entry !== undefined));
}

function parseHistoryEntry(value: unknown, i: number): HistoryEntry {
  const what = `image config.history[${i}]`;
  const object = asObject(value, what);
  const fields = ["created", "created_by", "author", "comment"].map(
    (key) => [key, optional(object[key], `${what}.${key}`, asString)] as const,
  );
  return {
    ...Object.fromEntries(fields.filter(([, entry]) => entry !== undefined)),
    ...(object["empty_layer"] === true && { empty_layer: true }),
  };
}

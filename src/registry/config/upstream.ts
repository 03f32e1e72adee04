/** [[upstream]]: registries that this one is a cache of. */
import { isRepositoryName } from "../route.ts";
import { bytes, count, duration, flag, list, maybe, parsed, table, text, type ValueOf, withDefault } from "./fields.ts";

const NAME = String.raw`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*`;
const LOCATION = new RegExp(`^([A-Za-z0-9.-]+(?::[0-9]{1,5})?|\\[[0-9a-fA-F:]+\\](?::[0-9]{1,5})?)(?:/(${NAME}))?$`);

/** Where a registry is, and from where on in it names count. */
export interface Location {
  /** `host[:port]`. */
  readonly host: string;
  /** Empty for the whole registry. */
  readonly path: string;
}

const upstreamTable = table("A registry", {
  prefix: parsed("Repositories below PREFIX/ are the upstream's", `^${NAME}$`, parsePrefix),
  location: parsed("HOST[:PORT][/PATH], as in registries.conf", LOCATION.source, parseLocation),
  insecure: withDefault(flag("Any certificate and plain HTTP will do"), false),
  authFile: maybe(
    text("auth.json with this registry's own login there; without it, the files of the user that serves"),
  ),
  interval: withDefault(duration("How long a tag counts without asking the upstream again"), "5m"),
  fetchesMax: withDefault(count("Blobs fetched from there at once; more wait their turn", 1), 16),
  size: maybe(bytes("What the copies may take together; beyond it blobs are passed on without being kept")),
});

export const upstreamSection = maybe(
  list("Registries of which this one keeps copies, each below a prefix", upstreamTable),
);

export type UpstreamConfig = ValueOf<typeof upstreamTable>;

/** Throws SyntaxError. */
export function parseLocation(text: string): Location {
  const match = LOCATION.exec(text);
  if (match?.[1] === undefined) throw new SyntaxError(`${JSON.stringify(text.slice(0, 200))} is no HOST[:PORT][/PATH]`);
  return { host: match[1], path: match[2] ?? "" };
}

function parsePrefix(text: string): string {
  if (!isRepositoryName(text)) throw new SyntaxError(`${JSON.stringify(text.slice(0, 200))} is no repository name`);
  return text;
}

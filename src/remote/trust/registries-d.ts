/**
 * RegistriesD: where the signatures of an image are: a lookaside store for OpenPGP ones, and whether sigstore's, which lie in the
 * registry beside the image, are looked for. Each setting comes from the most specific scope that has it.
 *
 * @see containers-registries.d(5)
 */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { asObject, asString, optional } from "../../core/json.ts";
import type { ImageRef } from "../../oci/reference.ts";
import { type ConfigHost, userConfigDirectory } from "../context.ts";
import { scopesOf } from "./scopes.ts";

export interface SignaturePlaces {
  /** A file: or http(s): URL, without a slash at its end. */
  readonly lookaside: string;
  readonly usesSigstoreAttachments: boolean;
  /** The directory of the settings. */
  readonly directory: string;
}

interface ScopeSettings {
  readonly lookaside: string | undefined;
  readonly usesSigstoreAttachments: boolean | undefined;
}

const DEFAULT_DOCKER = "default-docker";

/** Failure "bad-input" naming the file. */
export async function readSignaturePlaces(host: ConfigHost, ref: ImageRef): Promise<SignaturePlaces> {
  const user = userConfigDirectory(host);
  const own = user === undefined ? undefined : textToByteName(`${user}/containers/registries.d`);
  const directory = own !== undefined && host.files.exists(own) ? own : "/etc/containers/registries.d";
  const settings = await readDirectory(host, directory);
  const found = [...scopesOf(ref), DEFAULT_DOCKER].flatMap((scope) => settings.get(scope) ?? []);
  return {
    lookaside: (found.find(({ lookaside }) => lookaside !== undefined)?.lookaside ?? builtInLookaside(host)).replace(
      /\/+$/,
      "",
    ),
    usesSigstoreAttachments:
      found.find((scope) => scope.usesSigstoreAttachments !== undefined)?.usesSigstoreAttachments ?? false,
    directory,
  };
}

/** `default-docker` and the scopes in one map: no scope has that name, as it has no dot. */
async function readDirectory(host: ConfigHost, directory: string): Promise<ReadonlyMap<string, ScopeSettings>> {
  const merged = new Map<string, ScopeSettings>();
  for (const name of host.files.listIfAny(directory)) {
    if (!name.endsWith(".yaml")) continue;
    // Late: it is a tenth of the program's start.
    const { parse } = await import("yaml");
    const path = `${directory}/${name}`;
    try {
      for (const [scope, settings] of parseRegistriesD(parse(host.files.readText(path)))) {
        if (merged.has(scope)) throw new SyntaxError(`${scope} is in another file too`);
        merged.set(scope, settings);
      }
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure("bad-input", `Cannot read "${path}": it is malformed`, { cause: error });
    }
  }
  return merged;
}

function parseRegistriesD(value: unknown): ReadonlyMap<string, ScopeSettings> {
  const object = asObject(value ?? {}, "registries.d");
  const scopes = Object.entries(optional(object["docker"], "docker", asObject) ?? {});
  const all = object[DEFAULT_DOCKER] == null ? scopes : [...scopes, [DEFAULT_DOCKER, object[DEFAULT_DOCKER]] as const];
  return new Map(all.map(([scope, value]) => [scope, parseScope(value, `docker.${scope}`)]));
}

/** `sigstore` is what `lookaside` was called before. */
function parseScope(value: unknown, what: string): ScopeSettings {
  const object = asObject(value ?? {}, what);
  const field = (name: string): string | undefined => optional(object[name], `${what}.${name}`, asString);
  const lookaside = field("lookaside") ?? field("sigstore");
  if (lookaside !== undefined && !(URL.canParse(lookaside) && /^(?:file|https?):/.test(lookaside))) {
    throw new SyntaxError(
      `Cannot read ${what}.lookaside: it is ${JSON.stringify(lookaside)}, wanted a file or http URL`,
    );
  }
  const attachments = object["use-sigstore-attachments"];
  if (attachments !== undefined && typeof attachments !== "boolean")
    throw new SyntaxError(`Cannot read ${what}.use-sigstore-attachments: wanted true or false`);
  return { lookaside, usesSigstoreAttachments: attachments };
}

function builtInLookaside(host: ConfigHost): string {
  const home = host.env["HOME"] ?? "";
  return host.user.uid === 0
    ? "file:///var/lib/containers/sigstore"
    : `file://${home}/.local/share/containers/sigstore`;
}

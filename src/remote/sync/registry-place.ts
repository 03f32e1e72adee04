/** A registry as one end of a sync: all its repositories, or one; below a prefix when it is the destination. */
import { isDigest } from "../../core/digest.ts";
import { mapConcurrent } from "../../core/concurrency.ts";
import { Failure } from "../../core/failure.ts";
import { type ImageRef, parseImageRef } from "../../oci/reference.ts";
import { refusal } from "../answer.ts";
import type { CopyContext } from "../copy/image-io.ts";
import { readRegistryImage, writeRegistryImage } from "../copy/registry-image.ts";
import { listRepositories, listTags, tagDigest } from "../list-repositories.ts";
import { listReferrers } from "../referrers.ts";
import { pullEndpoints, pushEndpoint, readRegistriesConf } from "../registries-conf.ts";
import { openSession, type Session } from "../session.ts";
import { holdsNoImage, isCompanionTag } from "./companion.ts";
import type { SyncImage, SyncPlace } from "./sync-place.ts";

export interface RegistryPlaceOptions {
  readonly host: string;
  /** Source: the one repository. Destination: what stands before each repository's name. Empty for none. */
  readonly path: string;
  readonly side: "source" | "destination";
  readonly tags: RegExp;
}

const PARALLEL_TAGS = 8;

export function createRegistryPlace(context: CopyContext, options: RegistryPlaceOptions): SyncPlace {
  const { host, path, side, tags } = options;
  const sessions = new Map<string, Promise<Session>>();
  const pathOf = (repository: string): string =>
    side === "destination" && path !== "" ? `${path}/${repository}` : repository;
  const refOf = (repository: string, selector: string): ImageRef =>
    parseImageRef(`${host}/${pathOf(repository)}${isDigest(selector) ? "@" : ":"}${selector}`);
  const sessionOf = (repository: string): Promise<Session> => {
    const known = sessions.get(repository);
    if (known !== undefined) return known;
    const ref = refOf(repository, "latest");
    const conf = readRegistriesConf(context.host);
    const own = pullEndpoints(conf, ref).find(({ isMirror }) => !isMirror);
    const endpoint = side === "destination" || own === undefined ? pushEndpoint(conf, ref) : own;
    const session = openSession(context, endpoint, { access: side === "source" ? "pull" : "pull,push" });
    sessions.set(repository, session);
    return session;
  };
  const repositories = async (): Promise<readonly string[]> => {
    if (path !== "") return [path];
    const { insecure } = pushEndpoint(readRegistriesConf(context.host), parseImageRef(`${host}/x`));
    const endpoint = { host, path: "", insecure, isMirror: false };
    return listRepositories(await openSession(context, endpoint, { access: "pull" }));
  };
  return {
    name: path === "" ? host : `${host}/${path}`,
    async list(wanted) {
      const found: SyncImage[] = [];
      for (const repository of wanted ?? (await repositories())) {
        const session = await sessionOf(repository);
        const all = await listTags(session);
        if (side === "source" && path !== "" && all.length === 0) {
          const hint = "a repository is named whole: HOST/team/os, not HOST/team";
          throw new Failure("not-found", `Cannot sync from "${host}/${path}": there is no tag`, { hint });
        }
        const names = all.filter((tag) => tags.test(tag));
        const digests = await mapConcurrent(names, { limit: PARALLEL_TAGS }, (tag) => tagDigest(session, tag));
        for (const [i, tag] of names.entries()) {
          const digest = digests[i];
          if (digest !== undefined) found.push({ repository, tag, digest });
        }
      }
      return found;
    },
    async referrers(repository, subject) {
      const found = await listReferrers(await sessionOf(repository), subject);
      return found.map(({ digest }) => digest);
    },
    async source(repository, selector) {
      const source = await readRegistryImage(context, refOf(repository, selector));
      if (!isDigest(selector) && !isCompanionTag(selector)) return source;
      return {
        ...source,
        async requireTrust(digests) {
          const [top] = digests;
          if (top === undefined || !(await holdsNoImage(source, top))) await source.requireTrust(digests);
        },
      };
    },
    sink: (repository, selector) => writeRegistryImage(context, refOf(repository, selector)),
    async removeTag({ repository, tag }) {
      const response = await (await sessionOf(repository)).request("DELETE", `manifests/${tag}`);
      if (response.status !== 202 && response.status !== 404) {
        const why = await refusal(response);
        throw new Failure("unsupported", `Cannot delete "${host}/${pathOf(repository)}:${tag}": ${why}`);
      }
      response.discard();
    },
    finish: async () => {},
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * listRepositories(), listTags(), tagDigest(): what a registry has.
 *
 * @see OCI distribution-spec "Listing Tags"; docker registry API "Catalog"
 */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { asArray, asString, optional, parseJsonObject } from "../core/json.ts";
import { readText, refusal } from "./answer.ts";
import { fetchManifest } from "./fetch-manifest.ts";
import { nextPage } from "./next-page.ts";
import type { Session } from "./session.ts";
import type { TransportResponse } from "./transport.ts";

const PAGES_MAX = 10_000;
const PAGE_BYTES_MAX = 16 * 1024 * 1024;

/** `session` is one of the registry without a repository. Failure "network", "bad-input", "unauthorized". */
export async function listRepositories(session: Session): Promise<readonly string[]> {
  return listPages(session, "_catalog?n=1000", "repositories");
}

/** Empty for a repository that is not there. */
export async function listTags(session: Session): Promise<readonly string[]> {
  return listPages(session, "tags/list?n=1000", "tags");
}

/** undefined when there is no such tag. Failure "network". */
export async function tagDigest(session: Session, tag: string): Promise<Digest | undefined> {
  return (await fetchManifest(session, tag))?.digest;
}

async function listPages(session: Session, first: string, field: string): Promise<readonly string[]> {
  const found: string[] = [];
  let target = first;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const response = await session.request("GET", target);
    if (response.status === 404) {
      response.discard();
      return found;
    }
    if (response.status !== 200) {
      throw new Failure("network", `Cannot list the ${field} of "${session.name}": ${await refusal(response)}`);
    }
    // A registry without pages lists more than one call takes as arguments.
    for (const name of await readNames(session, response, field)) found.push(name);
    const next = nextPage(response);
    if (next === undefined) return found;
    target = next;
  }
  throw new Failure(
    "bad-input",
    `Cannot list the ${field} of "${session.name}": there are more than ${PAGES_MAX} pages`,
  );
}

async function readNames(session: Session, response: TransportResponse, field: string): Promise<readonly string[]> {
  const text = await readText(response, PAGE_BYTES_MAX);
  try {
    const names = optional(parseJsonObject(text, field)[field], field, asArray) ?? [];
    return names.map((name) => asString(name, field));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new Failure("bad-input", `Cannot list the ${field} of "${session.name}": the list is malformed`, { cause });
  }
}

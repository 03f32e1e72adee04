/** The pages without an image on them: repositories, the tags of one, signing in, and errors. */
import { html, type Html } from "./html.ts";
import type { ImageView } from "./image-view.ts";
import { compareForm, day, empty, type Page, section, shortDigest, size, table } from "./layout.ts";
import { HOME, imageLink, repositoryLink, SIGN_IN } from "./links.ts";

export interface RepositoryEntry {
  readonly name: string;
  readonly tagCount: number;
  /** The newest by name. */
  readonly newestTag: string | undefined;
}

export interface TagEntry {
  readonly tag: string;
  /** undefined when its manifest cannot be read. */
  readonly image: ImageView | undefined;
}

/** What is shown of a list, and the address of what follows. */
export interface Listing<Entry> {
  readonly entries: readonly Entry[];
  readonly total: number;
  readonly next: string | undefined;
}

export function homePage(listing: Listing<RepositoryEntry>, query: string): Page {
  const { entries, total } = listing;
  const rows = entries.map(({ name, tagCount, newestTag }) => [
    html`<a href="${repositoryLink(name)}">${name}</a>`,
    newestTag === undefined
      ? html`<span class="quiet">no tags</span>`
      : html`<a href="${imageLink(name, { kind: "tag", tag: newestTag })}"><code>${newestTag}</code></a>`,
    tagCount,
  ]);
  const columns = [{ name: "Name" }, { name: "Newest tag" }, { name: "Tags", kind: "number" }] as const;
  const nothing =
    query === ""
      ? empty("There is no repository here that you may read. The first push to one makes it.")
      : empty(
          "No repository has ",
          html`<code>${query}</code>`,
          " in its name. ",
          html`<a href="${HOME}">Show all</a>`,
        );
  return {
    title: "Repositories",
    body: html`<div class="head"><h1>Repositories</h1>
<form class="line" role="search" action="${HOME}"><label>Name contains <input type="search" name="q" value="${query}" maxlength="255"></label> <button>Search</button></form></div>
${entries.length === 0 ? nothing : table("Repositories", columns, rows)}
${more(listing, total === 1 ? "repository" : "repositories")}`,
  };
}

export function repositoryPage(
  registry: string,
  name: string,
  listing: Listing<TagEntry>,
  tags: readonly string[],
): Page {
  const rows = listing.entries.map(({ tag, image }) => [
    html`<a href="${imageLink(name, { kind: "tag", tag })}"><code>${tag}</code></a>`,
    image === undefined ? html`<span class="quiet">unreadable</span>` : contents(image),
    day(image?.created),
    image && shortDigest(image.digest),
    image && image.variants.length === 0 ? size(image.totalBytes) : html`<span class="quiet">–</span>`,
  ]);
  const columns = [
    { name: "Tag" },
    { name: "Content" },
    { name: "Made" },
    { name: "Digest", kind: "code" },
    { name: "Size", kind: "number" },
  ] as const;
  const newest = tags[0] ?? "TAG";
  return {
    title: name,
    path: [{ text: "Repositories", href: HOME }],
    body: html`<h1>${name}</h1>
<p class="command"><code>berth pull ${registry}/${name}:${newest}</code></p>
${tags.length > 1 && section("Compare two tags", undefined, compareForm(name, tags))}
${section("Tags", listing.total, tags.length === 0 ? empty("No tag names anything here. Manifests may still be reached by their digests.") : table("Tags", columns, rows))}
${more(listing, "tags")}`,
  };
}

export function signInPage(to: string, problem?: string): Page {
  return {
    title: "Sign in",
    body: html`<section class="card"><h1>Sign in</h1>
<form method="post" action="${SIGN_IN}">
${problem !== undefined && html`<p class="problem" role="alert">${problem}</p>`}
<label for="user">User</label><input id="user" name="user" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="255" required autofocus>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required>
<input type="hidden" name="to" value="${to}">
<button>Sign in</button>
</form>
<p class="quiet">The name and password of <code>berth login</code>.</p></section>`,
  };
}

export function errorPage(title: string, text: string): Page {
  return {
    title,
    body: html`<section class="card"><h1>${title}</h1><p>${text}</p><p><a href="${HOME}">All repositories</a></p></section>`,
  };
}

function contents(image: ImageView): string {
  const { variants, layers, platform } = image;
  if (variants.length > 0) return variants.length === 1 ? "index of 1 image" : `index of ${variants.length} images`;
  const count = layers.length === 1 ? "1 layer" : `${layers.length} layers`;
  return platform === undefined ? count : `${platform}, ${count}`;
}

function more(listing: Listing<unknown>, things: string): Html | undefined {
  if (listing.next === undefined) return undefined;
  return html`<p class="more">${listing.entries.length} of ${listing.total} ${things} shown. <a href="${listing.next}" rel="next">Show the next</a></p>`;
}

/**
 * createWeb(): the registry's page for people, read-only, in front of the API. It shows what the visitor may pull; everything
 * else does not exist for them, whether it is there or not. No script, nothing loaded from elsewhere; what is not the page's
 * goes to the API unseen.
 */
import { compareBytes } from "../../core/bytes.ts";
import type { Host, HttpHandler, Peer, ServerRequest, ServerResponse } from "../../host/host.ts";
import type { LogEntry } from "../answering.ts";
import type { Authenticate, Principal } from "../auth.ts";
import type { Driver } from "../driver.ts";
import { RegistryError } from "../errors.ts";
import { listRepositories, openRepository } from "../repository.ts";
import type { Reference } from "../route.ts";
import { compareImages } from "./compare.ts";
import { comparePage, imagePage } from "./image-pages.ts";
import { type ImageSources, type ImageView, readImage, readImageSummary } from "./image-view.ts";
import { type Page, renderPage, type Viewer } from "./layout.ts";
import { HOME, parseReference, parseWebRoute, SIGN_IN, type WebRoute } from "./links.ts";
import { errorPage, homePage, type RepositoryEntry, repositoryPage, signInPage, type TagEntry } from "./pages.ts";
import { createSessions, type Sessions } from "./session.ts";
import { ICON_TEXT, STYLE_TEXT } from "./style.ts";
import type { UpgradeCosts } from "./upgrade-cost.ts";

export interface WebOptions {
  readonly host: Pick<Host, "clock" | "random">;
  readonly driver: Driver;
  readonly authenticate: Authenticate;
  /** False when the registry has no users, and so nobody to sign in. */
  readonly canSignIn: boolean;
  readonly costs: UpgradeCosts;
  /** Called for each request, also one that failed, with the error. */
  readonly log?: (entry: LogEntry) => void;
}

const ENTRIES_MAX = 100;
const FORM_BYTES_MAX = 8 * 1024;
const YEAR = "public, max-age=31536000, immutable";

const PAGE_HEADERS = {
  "content-security-policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cache-control": "no-store",
  vary: "Cookie, Authorization",
};

/** What one visit needs. */
interface Visit {
  readonly options: WebOptions;
  readonly sources: ImageSources;
  readonly sessions: Sessions;
  readonly request: ServerRequest;
  readonly peer: Peer;
  readonly url: URL;
  readonly viewer: Viewer;
  readonly principal: Principal | undefined;
  readonly note: Note;
}

/** What the log should know, filled in on the way. */
type Note = { -readonly [Key in "user" | "refused"]?: LogEntry[Key] };

export function createWeb(options: WebOptions, api: HttpHandler): HttpHandler {
  const { host, driver } = options;
  const sessions = createSessions(host, driver);
  const sources: ImageSources = { driver, packages: new Map() };
  return async (request, peer) => {
    const url = new URL(request.url);
    const route = parseWebRoute(url.pathname);
    if (route === undefined || (route.kind === "home" && !acceptsHtml(request))) return api(request, peer);

    const started = host.clock.elapsed();
    let viewer: Viewer = { registry: url.host, user: undefined, canSignIn: options.canSignIn };
    const note: Note = {};
    let error: unknown;
    let response: ServerResponse;
    try {
      const { principal, refused } = isForAnybody(route) ? NOBODY : await visitor(options, sessions, request, peer);
      viewer = { ...viewer, user: principal?.user };
      note.user = principal?.user ?? refused?.user;
      if (refused !== undefined) note.refused = { action: "login" };
      response = await answer({ options, sources, sessions, request, peer, url, viewer, principal, note }, route);
      if (refused?.isSession === true) response.headers.set("set-cookie", sessions.end());
    } catch (thrown) {
      error = thrown;
      response = failed(viewer, thrown);
      if (response.status === 429) note.refused ??= { action: route.kind === "sign-in" ? "login" : "read" };
    }
    const tookMs = host.clock.elapsed() - started;
    const target = url.pathname + url.search;
    const { status } = response;
    options.log?.({
      address: peer.address,
      user: note.user,
      method: request.method,
      target,
      route: undefined,
      status,
      digest: undefined,
      tookMs,
      refused: note.refused,
      ...(status >= 500 && { error }),
    });
    return request.method === "HEAD" ? { ...response, body: null } : response;
  };
}

async function answer(visit: Visit, route: WebRoute): Promise<ServerResponse> {
  const { request, viewer, url } = visit;
  if (request.method === "POST" && (route.kind === "sign-in" || route.kind === "sign-out")) {
    return isSameSite(request, url) ? handleSigning(visit, route.kind) : forbidden(viewer);
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    const page = errorPage("That does not work here", `This page cannot be asked with the method ${request.method}.`);
    return pageResponse(viewer, page, 405, { allow: "GET, HEAD" });
  }
  switch (route.kind) {
    case "style":
      return textResponse(STYLE_TEXT, "text/css; charset=utf-8");
    case "icon":
      return textResponse(ICON_TEXT, "image/svg+xml");
    case "sign-in":
      return pageResponse(viewer, signInPage(safeTarget(url.searchParams.get("to"), url)));
    case "home":
      return home(visit);
    case "repository":
      return mayRead(visit, route.repository) ? repository(visit, route.repository) : unseen(visit, route.repository);
    case "image":
      return mayRead(visit, route.repository)
        ? image(visit, route.repository, route.reference)
        : unseen(visit, route.repository);
    case "compare":
      return mayRead(visit, route.repository) ? compare(visit, route.repository) : unseen(visit, route.repository);
    case "sign-out":
    case "unknown":
      return notFound(viewer);
  }
}

async function home(visit: Visit): Promise<ServerResponse> {
  const { options, viewer, principal, url } = visit;
  const readable = (await listRepositories(options.driver)).filter((name) => principal?.may("pull", name) === true);
  if (readable.length === 0 && viewer.canSignIn && viewer.user === undefined) return toSignIn(url);
  const query = (url.searchParams.get("q") ?? "").trim();
  const matching = readable.filter((name) => name.includes(query.toLowerCase()));
  const page = cutPage(url, matching);
  const entries: RepositoryEntry[] = [];
  for (const name of page.entries) {
    const tags = await newestFirst(options.driver, name);
    entries.push({ name, tagCount: tags.length, newestTag: tags[0] });
  }
  return pageResponse(viewer, homePage({ ...page, entries }, query));
}

async function repository(visit: Visit, name: string): Promise<ServerResponse> {
  const { options, sources, viewer, url } = visit;
  const opened = openRepository(options.driver, name);
  if ((await opened.tags()) === undefined) return notFound(viewer);
  const tags = await newestFirst(options.driver, name);
  const page = cutPage(url, tags);
  const entries: TagEntry[] = [];
  for (const tag of page.entries) {
    entries.push({ tag, image: await readImageSummary(sources, opened, { kind: "tag", tag }) });
  }
  return pageResponse(viewer, repositoryPage(viewer.registry, name, { ...page, entries }, tags));
}

async function image(visit: Visit, name: string, reference: Reference): Promise<ServerResponse> {
  const { options, sources, viewer } = visit;
  const found = await readImage(sources, openRepository(options.driver, name), reference);
  if (found === undefined) return notFound(viewer);
  const tags = await newestFirst(options.driver, name);
  return pageResponse(
    viewer,
    imagePage({ registry: viewer.registry, repository: name, reference, image: found, tags }),
  );
}

async function compare(visit: Visit, name: string): Promise<ServerResponse> {
  const { options, sources, viewer, url } = visit;
  const opened = openRepository(options.driver, name);
  const side = async (key: string): Promise<{ reference: Reference; image: ImageView } | undefined> => {
    const reference = parseReference(url.searchParams.get(key) ?? "");
    const found = reference && (await readImage(sources, opened, reference));
    return reference && found && { reference, image: found };
  };
  const [from, to] = [await side("from"), await side("to")];
  if (from === undefined || to === undefined) return notFound(viewer);
  const tags = await newestFirst(options.driver, name);
  const comparison = compareImages(from.image, to.image);
  const isSame = from.image.digest === to.image.digest;
  const cost = isSame ? undefined : await options.costs(name, from.image, to.image);
  return pageResponse(viewer, comparePage({ repository: name, tags, from, to, comparison, cost }));
}

interface Visitor {
  readonly principal: Principal | undefined;
  /** The credentials that were wrong, and who they were said to be of. */
  readonly refused?: { readonly user: string | undefined; readonly isSession: boolean };
}

const NOBODY: Visitor = { principal: undefined };

/** The way in, and what every page looks like: open to who is locked out too. */
function isForAnybody({ kind }: WebRoute): boolean {
  return kind === "style" || kind === "icon" || kind === "sign-in" || kind === "sign-out";
}

/** By the browser's own credentials or those of the session; who comes with wrong ones is nobody. */
async function visitor(options: WebOptions, sessions: Sessions, request: ServerRequest, peer: Peer): Promise<Visitor> {
  const { headers } = request;
  const given = headers.get("authorization");
  const isSession = given === null;
  const authorization = given ?? (await sessions.find(headers.get("cookie")));
  const known =
    authorization === undefined
      ? undefined
      : await options.authenticate(withAuthorization(request, authorization), peer, { resumed: isSession });
  if (known?.kind === "principal") return { principal: known.principal };

  const open = await options.authenticate(withAuthorization(request, undefined), peer);
  return {
    principal: open.kind === "principal" ? open.principal : undefined,
    ...(known && { refused: { user: known.user, isSession } }),
  };
}

async function handleSigning(visit: Visit, kind: "sign-in" | "sign-out"): Promise<ServerResponse> {
  const { options, sessions, request, peer, url, viewer, note } = visit;
  if (kind === "sign-out") return redirect(HOME, { "set-cookie": sessions.end() });
  const form = await readForm(request);
  const user = form?.get("user") ?? "";
  const authorization = `Basic ${Buffer.from(`${user}:${form?.get("password") ?? ""}`).toString("base64")}`;
  const target = safeTarget(form?.get("to") ?? null, url);
  note.user = user;
  const authentication = await options.authenticate(withAuthorization(request, authorization), peer);
  if (authentication.kind === "challenge" || authentication.principal.user === undefined) {
    return pageResponse(viewer, signInPage(target, "No user has this name and this password."), 403);
  }
  note.user = authentication.principal.user;
  const cookie = await sessions.begin(authorization, { secure: url.protocol === "https:" });
  return redirect(target, { "set-cookie": cookie });
}

function withAuthorization(request: ServerRequest, authorization: string | undefined): ServerRequest {
  const { method, url, signal } = request;
  const get = (name: string): string | null =>
    name === "authorization" ? (authorization ?? null) : request.headers.get(name);
  return { method, url, headers: { get }, body: null, signal };
}

/** undefined for a form that is too large. */
async function readForm(request: ServerRequest): Promise<URLSearchParams | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > FORM_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

function mayRead({ principal }: Visit, name: string): boolean {
  return principal?.may("pull", name) === true;
}

/** Versions sort as numbers: v10 before v9. */
async function newestFirst(driver: Driver, name: string): Promise<string[]> {
  const collator = new Intl.Collator("en", { numeric: true });
  const tags = (await openRepository(driver, name).tags()) ?? [];
  return tags.sort((left, right) => collator.compare(right, left) || compareBytes(right, left));
}

function cutPage(url: URL, all: readonly string[]): { entries: string[]; total: number; next: string | undefined } {
  const asked = url.searchParams.get("from") ?? "";
  const start = /^\d{1,9}$/.test(asked) ? Number(asked) : 0;
  const entries = all.slice(start, start + ENTRIES_MAX);
  const query = new URLSearchParams(url.searchParams);
  query.set("from", String(start + ENTRIES_MAX));
  const next = start + ENTRIES_MAX < all.length ? `${url.pathname}?${query.toString()}` : undefined;
  return { entries, total: all.length, next };
}

/** What is not there and what may not be read look the same; who has not signed in is asked to. */
function unseen({ viewer, url, note }: Visit, repository: string): ServerResponse {
  note.refused ??= { action: "read", repository };
  return viewer.canSignIn && viewer.user === undefined ? toSignIn(url) : notFound(viewer);
}

function failed(viewer: Viewer, error: unknown): ServerResponse {
  if (error instanceof RegistryError && error.status === 429) {
    const page = errorPage("Too many attempts", "Wait a little before you try again.");
    return pageResponse(viewer, page, 429, error.options.headers);
  }
  const text = "The registry could not read its storage. Its log says why.";
  return pageResponse(viewer, errorPage("This page cannot be shown", text), 500);
}

function notFound(viewer: Viewer): ServerResponse {
  const text = "It is not in this registry, or you may not read it.";
  return pageResponse(viewer, errorPage("There is nothing here", text), 404);
}

function forbidden(viewer: Viewer): ServerResponse {
  return pageResponse(viewer, errorPage("That does not work here", "The form came from another site."), 403);
}

function toSignIn(url: URL): ServerResponse {
  const target = url.pathname + url.search;
  return redirect(target === HOME ? SIGN_IN : `${SIGN_IN}?${new URLSearchParams({ to: target }).toString()}`);
}

/** Path and query of a page of ours, encoded, whatever the form says: no way to send somebody elsewhere. */
function safeTarget(target: string | null, { origin }: URL): string {
  if (target === null || !URL.canParse(target, origin)) return HOME;
  const url = new URL(target, origin);
  const kind = url.origin === origin ? parseWebRoute(url.pathname)?.kind : undefined;
  return kind === undefined || kind === "unknown" ? HOME : url.pathname + url.search;
}

/** A browser names the page that a form is on. */
function isSameSite({ headers }: ServerRequest, url: URL): boolean {
  const origin = headers.get("origin");
  return origin === null || (URL.canParse(origin) && new URL(origin).host === url.host);
}

function acceptsHtml({ headers }: ServerRequest): boolean {
  const accept = headers.get("accept");
  return accept === null || /text\/html|text\/\*|\*\/\*/.test(accept);
}

function pageResponse(
  viewer: Viewer,
  page: Page,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): ServerResponse {
  const body = Buffer.from(renderPage(viewer, page));
  const type = { "content-type": "text/html; charset=utf-8", "content-length": String(body.length) };
  return { status, headers: new Map(Object.entries({ ...PAGE_HEADERS, ...type, ...headers })), body };
}

function textResponse(text: string, type: string): ServerResponse {
  const body = Buffer.from(text);
  const head = { ...PAGE_HEADERS, "content-type": type, "content-length": String(body.length), "cache-control": YEAR };
  return { status: 200, headers: new Map(Object.entries(head)), body };
}

function redirect(location: string, headers: Readonly<Record<string, string>> = {}): ServerResponse {
  const head = { ...PAGE_HEADERS, location, "content-length": "0", ...headers };
  return { status: 303, headers: new Map(Object.entries(head)), body: null };
}

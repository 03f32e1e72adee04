/**
 * Who asks, and what they may do. Authentication is a function of the request; the handler asks the Principal that it returns
 * for each right.
 *
 * What a caller may not read does not exist for them: a right is decided from the names alone, before the storage is touched,
 * so that no answer and no duration tells whether the repository is there.
 */
import type { Peer, ServerRequest } from "../host/host.ts";

export type Action = "pull" | "push" | "delete";
export const ACTIONS: readonly Action[] = ["pull", "push", "delete"];

export interface Principal {
  /** undefined for an anonymous client. */
  readonly user: string | undefined;
  may(action: Action, repository: string): boolean;
  /** Whether the catalog names it: a token for the catalog alone lets nothing be pulled, but shows what its account may pull. */
  mayList(repository: string): boolean;
  /** /v2/ itself, and the catalog. */
  mayEnter(endpoint: "base" | "catalog"): boolean;
  /** WWW-Authenticate with which the client could get what it lacks; undefined when it is known and simply may not. */
  challenge(wanted: Wanted): string | undefined;
}

export type Wanted =
  | { readonly kind: "base" }
  | { readonly kind: "catalog" }
  | { readonly kind: "repository"; readonly action: Action; readonly repository: string };

export type Authentication =
  | { readonly kind: "principal"; readonly principal: Principal }
  /** Credentials that are wrong. Answered with 401 and this WWW-Authenticate. */
  | { readonly kind: "challenge"; readonly challenge: string; readonly message: string; readonly user?: string };

export interface AuthenticateHow {
  /** The credentials were right when they were given, and come from what we sealed: wrong ones are out of date, and no guess. */
  readonly resumed: boolean;
}

export type Authenticate = (request: ServerRequest, peer: Peer, how?: AuthenticateHow) => Promise<Authentication>;

/** Everybody may do everything: for a registry on loopback. */
export const openToAll: Authenticate = async () => ({
  kind: "principal",
  principal: {
    user: undefined,
    may: () => true,
    mayList: () => true,
    mayEnter: () => true,
    challenge: () => undefined,
  },
});

/** User and password of a Basic Authorization header; undefined when it is none. */
export function parseBasic(header: string | null): { readonly user: string; readonly password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

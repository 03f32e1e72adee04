/**
 * Who asks, and what they may do. Authentication is a function of the request; the handler asks the Principal that it returns
 * for each right. A new scheme (tokens, robots, client certificates) is another Authenticate, not another handler.
 */

import type { ServerRequest } from "../host/host.ts";

export type Action = "pull" | "push" | "delete";

export interface Principal {
  /** undefined for an anonymous client. */
  readonly user: string | undefined;
  may(action: Action, repository: string): boolean;
}

export type Authentication =
  | { readonly kind: "principal"; readonly principal: Principal }
  /** Answered with 401 and this WWW-Authenticate. */
  | { readonly kind: "challenge"; readonly challenge: string; readonly message: string };

export type Authenticate = (request: ServerRequest, peer: { readonly address: string }) => Promise<Authentication>;

/** Everybody may do everything: for a registry on loopback. */
export const openToAll: Authenticate = async () => ({
  kind: "principal",
  principal: { user: undefined, may: () => true },
});

/** User and password of a Basic Authorization header; undefined when it is none. */
export function parseBasic(header: string | null): { readonly user: string; readonly password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

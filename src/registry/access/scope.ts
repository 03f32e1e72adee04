/**
 * Scope: the rights that a token is asked for and holds, as in `repository:team/os:pull,push`.
 *
 * @see distribution "Token Scope Documentation"
 */
import { type Action, ACTIONS } from "../auth.ts";
import { isRepositoryName } from "../route.ts";
import { isAction, type May } from "./permissions.ts";

export interface Access {
  readonly type: "repository" | "registry";
  readonly name: string;
  readonly actions: readonly string[];
}

export const CATALOG_SCOPE = "registry:catalog:*";

/** Scopes of one token; more are refused, because each is signed into it. */
const SCOPES_MAX = 100;

/** Several scopes may stand in one text, parted by blanks. What is no scope of ours is left out, as token servers do. */
export function parseScopes(texts: readonly string[]): Access[] {
  return texts
    .flatMap((text) => text.split(" "))
    .slice(0, SCOPES_MAX)
    .flatMap(parseScope);
}

/** @see distribution docs/spec/auth/scope.md */
export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(",")}`;
}

/** What of `wanted` is allowed. A scope of which nothing is left is left out. */
export function grantScopes(wanted: readonly Access[], may: May): Access[] {
  return wanted.flatMap((access) => {
    if (access.type === "registry") return [access];
    const asked = access.actions.includes("*") ? ACTIONS : access.actions.filter(isAction);
    const actions = asked.filter((action) => may(action, access.name));
    return actions.length === 0 ? [] : [{ ...access, actions }];
  });
}

/** True when the token's scopes hold this right. */
export function holds(scopes: readonly Access[], action: Action, repository: string): boolean {
  return scopes.some(
    (access) => access.type === "repository" && access.name === repository && access.actions.includes(action),
  );
}

export function holdsCatalog(scopes: readonly Access[]): boolean {
  return scopes.some((access) => formatScope(access) === CATALOG_SCOPE);
}

function parseScope(text: string): Access[] {
  if (text === CATALOG_SCOPE) return [{ type: "registry", name: "catalog", actions: ["*"] }];
  const match = /^repository:([^:]+):([a-z,*]{1,80})$/.exec(text);
  const [, name, actions] = match ?? [];
  if (name === undefined || actions === undefined || !isRepositoryName(name)) return [];
  return [{ type: "repository", name, actions: actions.split(",") }];
}

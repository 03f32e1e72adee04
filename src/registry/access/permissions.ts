/**
 * Permissions: which account may do what in which repositories. Rules only add rights; without any rule for it nothing is
 * allowed. Pure: from names to yes or no.
 */
import { type Action, ACTIONS } from "../auth.ts";
import { compileGlob } from "./glob.ts";

/** One account, as the rest of the registry knows it. */
export interface Account {
  /** Shown in logs: a user's name, or `robot:NAME`. */
  readonly name: string;
  /** Changes when the account's secret does; never the secret. */
  readonly credential: string;
  /** A robot has rights of its own, and none from the configuration. */
  readonly grant?: Grant;
}

export interface Grant {
  /** Globs. */
  readonly repositories: readonly string[];
  readonly actions: readonly Action[];
}

export interface Rule extends Grant {
  /** `*` is everybody who is logged in. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
  /** For clients without a login too. */
  readonly anonymous: boolean;
}

export type May = (action: Action, repository: string) => boolean;

/** What an account may do; undefined asks for anonymous clients. */
export type Permissions = (account: Account | undefined) => May;

/** `rules` undefined: who is logged in may do everything. Throws SyntaxError for a bad glob or an unknown group. */
export function createPermissions(
  rules: readonly Rule[] | undefined,
  groups: ReadonlyMap<string, readonly string[]>,
): Permissions {
  const compiled = rules?.map((rule) => ({ rule, may: compileGrant(rule) }));
  for (const name of rules?.flatMap((rule) => rule.groups) ?? []) {
    if (!groups.has(name)) throw new SyntaxError(`Cannot use permissions: there is no group "${name}"`);
  }
  const appliesTo = (rule: Rule, user: string | undefined): boolean =>
    rule.anonymous ||
    (user !== undefined &&
      (rule.users.includes("*") ||
        rule.users.includes(user) ||
        rule.groups.some((group) => groups.get(group)?.includes(user))));
  const ofUser = (user: string | undefined): May => {
    if (compiled === undefined) return () => user !== undefined;
    const applying = compiled.filter(({ rule }) => appliesTo(rule, user)).map(({ may }) => may);
    return (action, repository) => applying.some((may) => may(action, repository));
  };
  const known = new Map<string | Grant | undefined, May>();
  return (account) => {
    const key = account?.grant ?? account?.name;
    let may = known.get(key);
    if (may === undefined) {
      may = account?.grant === undefined ? ofUser(account?.name) : compileGrant(account.grant);
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(key, may);
    }
    return may;
  };
}

const KNOWN_MAX = 10_000;

/** What a grant allows, as a question that is asked at each request. */
export function compileGrant(grant: Grant): May {
  const actions = new Set(grant.actions);
  const patterns = grant.repositories.map(compileGlob);
  return (action, repository) => actions.has(action) && patterns.some((pattern) => pattern.test(repository));
}

export function isAction(text: string): text is Action {
  return ACTIONS.some((action) => action === text);
}

/** [auth], [groups] and [[permissions]]: who the clients are and what they may do. */
import { ACTIONS } from "../auth.ts";
import { choice, duration, type Field, flag, list, mapOf, maybe, table, text, withDefault } from "./fields.ts";
import { repositoryGlob } from "./globs.ts";

const MINUTE_MS = 60_000;

export const authSection = maybe(
  table("Who the clients are; without it everybody may do everything", {
    htpasswd: maybe(
      table("Users with passwords", {
        file: text("File of user:bcrypt lines, as htpasswd -B writes it"),
        realm: withDefault(text("Shown to people who log in"), "berth registry"),
      }),
    ),
    robots: maybe(
      table("Accounts for programs, with API keys", {
        file: text("File that `berth registry token` keeps; made when the first is created"),
      }),
    ),
    tokens: maybe(
      table("The token server at /token; without it clients send their password with every request", {
        key: text("File with the key that signs tokens; made when missing, shared by replicas"),
        lifetime: withDefault(
          within(duration("How long a token is good: 60s to 300s"), MINUTE_MS, 5 * MINUTE_MS),
          "5m",
        ),
        refreshLifetime: withDefault(duration("How long a login lasts for clients that keep a token"), "90d"),
        realm: maybe(text("URL of /token as clients reach it; by default on the host that the client named")),
      }),
    ),
  }),
);

export const groupsSection = withDefault(mapOf("Groups of users", list("Users of the group", text("User"))), {});

export const permissionsSection = maybe(
  list(
    "What may be done; without it who is logged in may do everything. Entries only add rights",
    table("One permission", {
      repositories: list("Globs of whole names: * is any text without a slash, ** any text", repositoryGlob("Glob")),
      users: withDefault(list('Users; "*" is everybody who is logged in', text("User")), []),
      groups: withDefault(list("Groups", text("Group")), []),
      anonymous: withDefault(flag("For everybody, without a login too"), false),
      actions: list("What is allowed", choice("Action", ACTIONS)),
    }),
  ),
);

function within(field: Field<number>, least: number, most: number): Field<number> {
  return {
    ...field,
    read(value, where) {
      const read = field.read(value, where);
      if (read < least || read > most) {
        throw new SyntaxError(`Cannot read ${where}: it is out of range, wanted ${least / 1000}s to ${most / 1000}s`);
      }
      return read;
    },
  };
}

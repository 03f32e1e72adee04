/** [auth]: who the clients are. */
import { maybe, table, text, withDefault } from "./fields.ts";

export const authSection = maybe(
  table("Who the clients are; without it everybody may do everything", {
    htpasswd: maybe(
      table("Users with passwords", {
        file: text("File of user:bcrypt lines, as htpasswd -B writes it"),
        realm: withDefault(text("Shown to people who log in"), "berth registry"),
      }),
    ),
  }),
);

/** [audit]: who did what. */
import { flag, maybe, table, text, withDefault } from "./fields.ts";

export const auditSection = maybe(
  table("A file of JSON lines: who pushed, deleted, logged in, and who was refused", {
    file: text("The file; it is appended to, and may be moved away at any time"),
    pulls: withDefault(flag("Manifests that are read, too"), false),
  }),
);

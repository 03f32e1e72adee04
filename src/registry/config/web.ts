/** [web]: the page for people. */
import { flag, maybe, table, withDefault } from "./fields.ts";

export const webSection = maybe(
  table("The page for people at /", {
    enabled: withDefault(flag("Whether there is one"), true),
  }),
);

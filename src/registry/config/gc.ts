/** [gc]: when content that no manifest needs goes. */
import { duration, maybe, table, type ValueOf, withDefault } from "./fields.ts";

export const gcSection = withDefault(
  table("Garbage collection; the same for all replicas of one storage", {
    grace: withDefault(
      duration("Content stays at least this long after it was pushed or asked for by a pusher"),
      "24h",
    ),
    interval: maybe(duration("Collect this often while serving; without it only `berth registry gc` does")),
  }),
  {},
);

export type GcConfig = ValueOf<typeof gcSection>;

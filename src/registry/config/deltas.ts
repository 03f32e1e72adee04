/** [deltas]: what the registry makes itself for machines, after a push. */
import { compileGlob, GLOB } from "../access/glob.ts";
import { count, list, maybe, parsed, table, type ValueOf, withDefault } from "./fields.ts";

const glob = parsed("Glob", GLOB.source, (value) => {
  compileGlob(value);
  return value;
});

export const deltasSection = maybe(
  table("Deltas that the registry makes to each image that a tag is set to", {
    from: withDefault(
      count("From so many images: those that lost a tag, the last first, then those of the highest tags", 1),
      3,
    ),
    repositories: withDefault(list("Globs of repositories", glob), ["**"]),
  }),
);

export type DeltasConfig = NonNullable<ValueOf<typeof deltasSection>>;

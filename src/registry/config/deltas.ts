/** [deltas]: what the registry makes itself for machines, after a push. */
import { count, flag, list, maybe, table, type ValueOf, withDefault } from "./fields.ts";
import { repositoryGlob } from "./globs.ts";

export const deltasSection = maybe(
  table("Deltas that the registry makes to each image that a tag is set to", {
    from: withDefault(
      count("From so many images: those that lost a tag, the last first, then those of the highest tags", 1),
      3,
    ),
    keepXz: withDefault(
      flag("Compare xz files (Debian 13's kernel modules) as they are: larger deltas, quick to apply"),
      false,
    ),
    repositories: withDefault(list("Globs of repositories", repositoryGlob("Glob")), ["**"]),
  }),
);

export type DeltasConfig = NonNullable<ValueOf<typeof deltasSection>>;

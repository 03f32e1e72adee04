/** [tags], [[quota]] and [[retention]]: what pushes may not do, and what goes by itself. */
import { bytes, count, duration, list, maybe, table, type ValueOf, withDefault } from "./fields.ts";
import { repositoryGlob, tagGlob } from "./globs.ts";

const repositories = withDefault(
  repositoryGlob("Glob of repositories: * is any text without a slash, ** any text"),
  "**",
);

export const tagsSection = withDefault(
  table("Tags", {
    immutable: withDefault(
      list("Tags that no push moves and no client deletes, in every repository", tagGlob("Glob")),
      [],
    ),
  }),
  {},
);

export const quotaSection = withDefault(
  list(
    "Limits of space; each holds by itself",
    table("One limit", {
      repositories,
      size: bytes("What all these repositories may hold together, shared content once"),
    }),
  ),
  [],
);

export const retentionSection = withDefault(
  list(
    "What a garbage collection deletes first; a tag goes when a rule takes it",
    table("One rule", {
      repositories,
      tags: withDefault(tagGlob("Glob of tags"), "*"),
      keepLast: maybe(count("Keep so many of these tags of a repository, the last moved first")),
      olderThan: maybe(duration("Take only tags that were not moved for so long")),
      untagged: maybe(
        duration("Delete manifests that no tag, index or referrer needs, so long after their push or their last tag"),
      ),
    }),
  ),
  [],
);

export type QuotaRule = ValueOf<typeof quotaSection>[number];
export type RetentionRule = ValueOf<typeof retentionSection>[number];

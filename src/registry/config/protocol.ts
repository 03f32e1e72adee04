/** [protocol]: what the specification leaves to the registry. */
import { list, maybe, parsed, table, withDefault } from "./fields.ts";
import { repositoryGlob } from "./globs.ts";

/** Characters of a Warning header's text; the specification allows 4096 bytes of header. */
const NOTICE_MAX = 4000;
const NOTICE = String.raw`^[\x20-\x7e]{1,${NOTICE_MAX}}$`;

export const protocolSection = withDefault(
  table("What the specification leaves to the registry", {
    sparse: withDefault(
      list(
        "Globs of repositories that take manifests whose parts are not there, for mirrors of one architecture",
        repositoryGlob("Glob"),
      ),
      [],
    ),
    notice: maybe(
      parsed("What clients show their users, as a Warning header", NOTICE, (notice) => {
        if (new RegExp(NOTICE).test(notice)) return notice;
        throw new SyntaxError(`it is not 1 to ${NOTICE_MAX} printable ASCII characters`);
      }),
    ),
  }),
  {},
);

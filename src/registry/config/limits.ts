/** [limits]: how much one client may ask for. */
import { count, maybe, table, withDefault } from "./fields.ts";

export const limitsSection = maybe(
  table("How much one client may ask for: a user, or an address without a login. Past it: 429 and Retry-After", {
    requestsPerSecond: count("Requests each second, in the long run", 1),
    burst: withDefault(count("Requests at once, before the rate counts", 1), 1000),
  }),
);

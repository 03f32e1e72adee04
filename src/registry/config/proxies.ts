/** [proxies]: what stands in front of the registry, and how it says for whom it asks. */
import { compileNetworks } from "../../host/networks.ts";
import { choice, list, maybe, parsed, table, type ValueOf, withDefault } from "./fields.ts";

export const proxiesSection = maybe(
  table("Reverse proxies in front: the client's address is taken from what they add to a request", {
    trusted: list(
      "Their addresses",
      parsed("Address or network, as in 10.0.0.0/8", "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$", parseNetwork),
    ),
    header: withDefault(
      choice("Which header they add the address to", ["X-Forwarded-For", "Forwarded"]),
      "X-Forwarded-For",
    ),
  }),
);

export type ProxiesConfig = NonNullable<ValueOf<typeof proxiesSection>>;

function parseNetwork(text: string): string {
  compileNetworks([text]);
  return text;
}

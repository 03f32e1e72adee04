/** [tls]: the server's key pair. */
import { maybe, table, text } from "./fields.ts";

export const tlsSection = maybe(
  table("TLS; without it the registry speaks plain HTTP", {
    certificate: text("PEM file of the certificate and what leads to its authority"),
    key: text("PEM file of its private key"),
  }),
);

/** [tls]: the server's key pair, and client certificates. */
import { choice, maybe, table, text, withDefault } from "./fields.ts";

export const tlsSection = maybe(
  table("TLS; without it the registry speaks plain HTTP", {
    certificate: text("PEM file of the certificate and what leads to its authority"),
    key: text("PEM file of its private key"),
    clientCa: maybe(text("PEM file of authorities whose certificates log clients in: the common name is the user")),
    clientAuth: withDefault(
      choice("Whether a client may come without a certificate, to log in otherwise", ["optional", "required"]),
      "optional",
    ),
  }),
);

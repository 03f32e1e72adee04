/**
 * RegistryConfig: `registry.toml` of a registry's folder. Paths in it are relative to that folder. Each section is a table in
 * a file of its own under config/; `docs/registry.schema.json` is the same tables as a JSON schema.
 */
import { parse } from "smol-toml";
import { authSection } from "./config/auth.ts";
import { type JsonSchema, ROOT, table, type ValueOf } from "./config/fields.ts";
import { listenField } from "./config/listen.ts";
import { storageSection } from "./config/storage.ts";
import { tlsSection } from "./config/tls.ts";

export const CONFIG_NAME = ROOT;

const registryTable = table("Configuration of `berth registry serve`", {
  listen: listenField("Where clients connect"),
  storage: storageSection,
  tls: tlsSection,
  auth: authSection,
});

export type RegistryConfig = ValueOf<typeof registryTable>;

export const registrySchema: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: CONFIG_NAME,
  ...registryTable.schema,
};

/** Throws SyntaxError (or TomlError) naming the key. */
export function parseRegistryConfig(content: string): RegistryConfig {
  return registryTable.read(parse(content), CONFIG_NAME);
}

/**
 * RegistryConfig: `registry.toml` of a registry's folder. Paths in it are relative to that folder. Each section is a table in
 * a file of its own under config/; `docs/registry.schema.json` is the same tables as a JSON schema.
 */
import { parse } from "smol-toml";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { auditSection } from "./config/audit.ts";
import { authSection, groupsSection, permissionsSection } from "./config/auth.ts";
import { type JsonSchema, ROOT, table, type ValueOf } from "./config/fields.ts";
import { deltasSection } from "./config/deltas.ts";
import { limitsSection } from "./config/limits.ts";
import { gcSection } from "./config/gc.ts";
import { listenField } from "./config/listen.ts";
import { metricsSection, shutdownSection, webhooksSection } from "./config/operations.ts";
import { protocolSection } from "./config/protocol.ts";
import { proxiesSection } from "./config/proxies.ts";
import { quotaSection, retentionSection, tagsSection } from "./config/rules.ts";
import { storageSection } from "./config/storage.ts";
import { tlsSection } from "./config/tls.ts";
import { upstreamSection } from "./config/upstream.ts";
import { webSection } from "./config/web.ts";

export const CONFIG_NAME = ROOT;

const registryTable = table("Configuration of `berth registry serve`", {
  listen: listenField("Where clients connect"),
  storage: storageSection,
  gc: gcSection,
  tags: tagsSection,
  quota: quotaSection,
  retention: retentionSection,
  tls: tlsSection,
  proxies: proxiesSection,
  auth: authSection,
  groups: groupsSection,
  permissions: permissionsSection,
  protocol: protocolSection,
  web: webSection,
  limits: limitsSection,
  audit: auditSection,
  metrics: metricsSection,
  webhooks: webhooksSection,
  deltas: deltasSection,
  shutdown: shutdownSection,
  upstream: upstreamSection,
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

/** Failure "not-found" when `directory` holds no registry, "bad-input" for its configuration. */
export function readRegistryConfig(host: Pick<Host, "files">, directory: string): RegistryConfig {
  const content = host.files.readTextIfAny(`${directory}/${CONFIG_NAME}`);
  if (content === undefined) {
    throw new Failure("not-found", `Cannot use registry "${directory}": there is no ${CONFIG_NAME} in it`, {
      hint: `make a registry with: berth registry init ${directory} --user NAME --password-stdin`,
    });
  }
  try {
    return parseRegistryConfig(content);
  } catch (error) {
    throw new Failure("bad-input", `Cannot use registry "${directory}": its ${CONFIG_NAME} is malformed`, {
      cause: error,
    });
  }
}

/** Makes the configuration's paths absolute. */
export function inDirectory(directory: string): (path: string) => string {
  return (path) => (path.startsWith("/") ? path : `${directory}/${path}`);
}

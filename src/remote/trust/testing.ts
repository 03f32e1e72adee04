/** For tests: a machine whose policy asks for signatures, and the keys that make them. */
import { randomBytes } from "node:crypto";
import type { Host } from "../../host/host.ts";
import { parseIndex } from "../../oci/manifest.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { createTestClient, REGISTRY, type TestClient } from "../testing.ts";
import { generateKeyPair, parsePrivateKey } from "./sigstore-key.ts";

/** Of the key that the policy trusts. */
export const pair = generateKeyPair("", randomBytes);
export const key = parsePrivateKey(pair.privateKey, "");
export const ref = parseImageRef(`${REGISTRY}/team/os:v1`);
/** A policy's requirement. */
export const sigstore = { type: "sigstoreSigned", keyData: Buffer.from(pair.publicKey).toString("base64") };
const ATTACHMENTS = "default-docker: {use-sigstore-attachments: true}";

/** Of src/registry/testing.ts, which this ring does not import. */
export interface RegistryInTest {
  readonly root: string;
  readonly host: Pick<Host, "files">;
  readonly handler: (request: Request) => Promise<Response>;
  call(method: string, path: string): Promise<Response>;
}

export interface World {
  readonly requirements?: readonly object[];
  readonly registriesD?: string;
  readonly others?: Readonly<Record<string, RegistryInTest>>;
  readonly registriesConf?: string;
}

/** A machine whose policy for the registry is `requirements`. */
export function machine(registry: RegistryInTest, world: World = {}): TestClient {
  const { requirements = [sigstore], registriesD = ATTACHMENTS, others = {}, registriesConf = "" } = world;
  const { files } = registry.host;
  const settings = `${registry.root}/home/.config/containers`;
  files.makeDirectory(`${settings}/registries.d`);
  const policy = { default: [{ type: "reject" }], transports: { docker: { [REGISTRY]: requirements } } };
  files.write(`${settings}/policy.json`, JSON.stringify(policy));
  files.write(`${settings}/registries.d/a.yaml`, registriesD);
  files.write(`${settings}/registries.conf`, registriesConf);
  const handlers = Object.fromEntries(Object.entries(others).map(([name, { handler }]) => [name, handler]));
  return createTestClient({ [REGISTRY]: registry.handler, ...handlers }, { env: { HOME: `${registry.root}/home` } });
}

/** Digests of all manifests that refer to one of team/os. */
export async function referrersOf(registry: RegistryInTest, digest: string): Promise<readonly string[]> {
  const response = await registry.call("GET", `/v2/team/os/referrers/${digest}`);
  return parseIndex(await response.text()).manifests.map((entry) => entry.digest);
}

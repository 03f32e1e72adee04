/** imageConfig(): the config of a base image: what makes it bootable as a container, and what it says of itself. */
import type { ImageConfig } from "../../oci/config.ts";
import type { LayerRecord } from "./parts.ts";
import type { Suite } from "./suites.ts";

export function imageConfig(
  layers: LayerRecord["layers"],
  facts: { version: string; suite: Suite; epochSec: number },
): ImageConfig {
  const created = new Date(facts.epochSec * 1000).toISOString().replace(".000Z", "Z");
  return {
    created,
    architecture: "amd64",
    os: "linux",
    config: {
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      Cmd: ["/sbin/init"],
      Labels: {
        "containers.bootc": "1",
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.title": `Debian ${facts.suite.version} (${facts.suite.name}), image mode`,
        "org.opencontainers.image.version": facts.version,
      },
      StopSignal: "SIGRTMIN+3",
    },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((layer) => ({ created, created_by: `berth base build: ${layer.name}` })),
  };
}

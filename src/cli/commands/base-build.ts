/** `berth base build`: a bootable base image from Debian's packages. */
import { buildBase } from "../../build/base/base-image.ts";
import { parseMirror } from "../../build/base/apt-sources.ts";
import { checkPackageName, findSuite, SUITE_NAMES } from "../../build/base/suites.ts";
import { Failure } from "../../core/failure.ts";
import { formatBytes } from "../../core/units.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { readImageRef } from "../image-names.ts";

export const baseBuildCommand = command({
  name: "base build",
  summary: "Make a bootable base image from Debian's packages",
  description:
    "Installs a small Debian system with mmdebstrap and turns it into an image-mode system: kernel and initramfs below /usr/lib/modules, both boot " +
    "loaders, SSH, DHCP, Python for Ansible, and berth itself. Packages come from the mirror that the host's apt uses.\n\n" +
    "The same packages give the same digest. What an earlier build left in the store is used again.",
  needsRoot: true,
  flags: {
    suite: { type: "string", value: "SUITE", choices: SUITE_NAMES, summary: "Debian release" },
    tag: { type: "string", short: "t", value: "NAME", summary: "name of the image" },
    mirror: { type: "string", value: "URL", summary: "Debian archive to take packages from" },
    "security-mirror": { type: "string", value: "URL", summary: "archive of the security updates" },
    package: { type: "list", value: "NAME", summary: "one more package to install" },
    kernel: {
      type: "string",
      value: "FLAVOUR",
      choices: ["generic", "cloud"],
      default: "generic",
      summary: "generic drives real hardware, cloud only virtual machines",
    },
    initramfs: {
      type: "string",
      value: "KIND",
      choices: ["minimal", "systemd"],
      default: "minimal",
      summary: "what mounts the root at boot",
    },
    "no-cache": { type: "boolean", summary: "install the packages anew" },
  },
  examples: [
    [
      "berth base build --suite bookworm -t localhost/debian-bootc:12",
      "Debian 12 with the 6.12 kernel of its backports",
    ],
    ["berth base build --suite trixie -t localhost/debian-bootc:13 --package vim", "Debian 13 and an editor"],
  ],
  async run(values, _operands, context) {
    context.host.mounts.isolate();
    if (values.suite === undefined)
      throw new Failure("usage", `Cannot build a base: --suite is missing, wanted one of ${SUITE_NAMES.join(", ")}`);
    if (values.tag === undefined) throw new Failure("usage", "Cannot build a base: -t NAME is missing");
    if (values.initramfs === "systemd") {
      throw new Failure(
        "unsupported",
        'Cannot make initramfs "systemd": berth makes only its own, which has no systemd in it',
        {
          hint: "leave --initramfs out",
        },
      );
    }
    const request = {
      suite: findSuite(values.suite),
      name: imageName(values.tag),
      mirror: values.mirror === undefined ? undefined : parseMirror(values.mirror),
      securityMirror: values["security-mirror"] === undefined ? undefined : parseMirror(values["security-mirror"]),
      packages: values.package.map(checkPackageName),
      kernel: values.kernel === "cloud" ? ("cloud" as const) : ("generic" as const),
      useCache: !values["no-cache"],
    };
    using store = openWorkstationStore(context.host);

    return await buildBase({ host: context.host, store, progress: context.progress, signal: context.signal }, request);
  },
  view: (built) =>
    [
      `Image ${built.name}`,
      `Version ${built.version}, kernel ${built.kernelVersion}`,
      ...built.layers.map(
        (layer) => `Layer ${layer.name}: ${formatBytes(layer.sizeBytes)}${layer.cached ? " (made earlier)" : ""}`,
      ),
      `Digest ${built.digest}`,
    ].join("\n"),
});

/** A full name that an image can be given. */
function imageName(text: string): string {
  const ref = readImageRef(text);
  if (ref.digest !== undefined) {
    throw new Failure("usage", `Cannot name an image "${text}": a digest is no name`, {
      hint: "leave out what follows @",
    });
  }
  return formatImageRef(ref);
}

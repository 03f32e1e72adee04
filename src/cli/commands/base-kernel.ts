/** `berth base kernel`: what the hook of kernel packages runs inside an image. */
import { installKernel } from "../../build/base/kernel.ts";
import { textToByteName } from "../../core/bytes.ts";
import { formatBytes } from "../../core/units.ts";
import { command } from "../command.ts";

export const baseKernelCommand = command({
  name: "base kernel",
  summary: "Put an installed kernel, with an initramfs, where an image-mode machine boots from",
  description:
    "Moves /boot/vmlinuz-VERSION to /usr/lib/modules/VERSION/vmlinuz and writes initramfs.img beside it. Kernel packages that a Containerfile installs " +
    "run it by themselves.",
  needsRoot: true,
  flags: { root: { type: "string", value: "DIR", default: "/", summary: "root directory of the image" } },
  operands: [{ name: "VERSION", summary: "a directory name in /usr/lib/modules" }],
  async run(values, [version = ""], context) {
    const root = textToByteName(values.root).replace(/\/+$/, "");
    return await installKernel(context.host, { root, version, signal: context.signal });
  },
  view: (kernel) => `${kernel.initramfs}: ${formatBytes(kernel.initramfsSize)}`,
});

/** `berth composefs dump`: an image as dump text. */
import { textToByteName } from "../../core/bytes.ts";
import { formatDump } from "../../format/dumpfile/format.ts";
import { readErofs } from "../../format/erofs/read.ts";
import { command } from "../command.ts";
import { asBadInput } from "./composefs-mkimage.ts";

export const composefsDumpCommand = command({
  name: "composefs dump",
  summary: "Show what a composefs image holds, as a dump",
  description:
    "One line for each name: path, size, mode, links, owner, time, object and xattrs. mkimage makes the same image from it.",
  operands: [{ name: "IMG", summary: "EROFS image of composefs" }],
  flags: {},
  examples: [["berth composefs dump root.erofs", "show every file of the image"]],
  async run(_values, [image = ""], context) {
    const bytes = context.host.files.read(textToByteName(image));
    return { image, dump: asBadInput(`Cannot dump image "${image}"`, undefined, () => formatDump(readErofs(bytes))) };
  },
  view: (value) => value.dump,
});

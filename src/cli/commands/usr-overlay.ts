/** `berth usr-overlay`: a writable /usr until the next reboot. */
import { mountUsrOverlay } from "../../deploy/usr-overlay.ts";
import { command } from "../command.ts";

export const usrOverlayCommand = command({
  name: "usr-overlay",
  aliases: ["usroverlay"],
  summary: "Make /usr writable until the next reboot",
  description: "For a quick try on the machine itself; what is changed there is gone after the reboot.",
  flags: {
    "read-only": {
      type: "boolean",
      summary: "Mount it read-only: to be remounted writable by a program in its own namespace",
    },
  },
  run: async (values, _operands, context) =>
    mountUsrOverlay(context.host, values["read-only"] ? "readOnly" : "readWrite"),
  view: (done) =>
    done.mounted
      ? `A ${done.accessMode === "readOnly" ? "read-only" : "read/write"} overlayfs is now mounted on /usr\nAll changes there will be discarded on reboot.`
      : "An overlayfs is already mounted on /usr",
});

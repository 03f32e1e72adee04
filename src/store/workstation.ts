/** openWorkstationStore(): the store of the machine where images are built: /var/lib/berth, or what BERTH_STORE says. */
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { openStore } from "./open.ts";
import { MACHINE_STORE, WORKSTATION_STORE } from "./paths.ts";
import type { Store } from "./store.ts";

/** Made on first use. Failure "not-root", or "denied" when the directory cannot be written. */
export function openWorkstationStore(host: Host, access: "shared" | "exclusive" = "shared"): Store {
  const named = host.env["BERTH_STORE"];
  if (named !== undefined && !named.startsWith("/")) {
    throw new Failure("usage", `Cannot open store "${named}": BERTH_STORE must be an absolute path`);
  }
  const root = (named === undefined ? WORKSTATION_STORE : textToByteName(named)).replace(/\/+$/, "");
  try {
    host.files.makeDirectory(root, { mode: 0o700 });
    return openStore(host, `${root}/${MACHINE_STORE}`, { keepBlobs: true, create: true, access });
  } catch (error) {
    const where = `Cannot open store "${byteNameToText(root)}"`;
    if (host.files.stat(root)?.kind === "file")
      throw new Failure("bad-input", `${where}: it is a file, wanted a directory`);
    if (!isFailure(error, "denied")) throw error;
    if (host.user.uid !== 0) {
      throw new Failure("not-root", `${where}: it belongs to root`, {
        cause: error,
        hint: "run as root, or set BERTH_STORE to a directory of your own",
      });
    }
    throw new Failure("denied", `${where}: it cannot be written`, {
      cause: error,
      hint: "set BERTH_STORE to a directory that can be written",
    });
  }
}

/** RemoteContext: what every part of the client is given. */
import type { Progress } from "../core/progress.ts";
import type { Host } from "../host/host.ts";

export interface RemoteContext {
  readonly host: Pick<
    Host,
    "files" | "clock" | "network" | "env" | "user" | "exec" | "which" | "architecture" | "random"
  >;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** `--authfile`: the only file to look in. */
  readonly authFile?: string | undefined;
  /** `--tls-verify`: false allows plain HTTP and any certificate; undefined leaves it to registries.conf. */
  readonly tlsVerify?: boolean | undefined;
  /** `--cert-dir`: certificates from this directory only. */
  readonly certDir?: string | undefined;
}

export type ConfigHost = Pick<Host, "files" | "env" | "user">;

/** Directory of the user's own configuration; undefined without a home. */
export function userConfigDirectory(host: Pick<Host, "env">): string | undefined {
  const { XDG_CONFIG_HOME, HOME } = host.env;
  if (XDG_CONFIG_HOME !== undefined && XDG_CONFIG_HOME !== "") return XDG_CONFIG_HOME;
  return HOME === undefined || HOME === "" ? undefined : `${HOME}/.config`;
}

/** Flags that every command has which talks to a registry, and the RemoteContext that they make. */
import type { RemoteContext } from "../remote/context.ts";
import type { Context, Flags } from "./command.ts";

export const REMOTE_FLAGS = {
  authfile: { type: "string", value: "FILE", summary: "Credentials: look in this file only" },
  "tls-verify": {
    type: "string",
    value: "BOOL",
    choices: ["true", "false"],
    summary: "false allows plain HTTP and any certificate",
  },
  "cert-dir": {
    type: "string",
    value: "DIR",
    summary: "Certificates from this directory only: *.crt to trust, *.cert with *.key to show",
  },
} as const satisfies Flags;

export function remoteContext(
  context: Context,
  values: {
    readonly authfile: string | undefined;
    readonly "tls-verify"?: string | undefined;
    readonly "cert-dir"?: string | undefined;
  },
): RemoteContext {
  const tlsVerify = values["tls-verify"];
  return {
    host: context.host,
    progress: context.progress,
    signal: context.signal,
    authFile: values.authfile,
    tlsVerify: tlsVerify === undefined ? undefined : tlsVerify === "true",
    certDir: values["cert-dir"],
  };
}

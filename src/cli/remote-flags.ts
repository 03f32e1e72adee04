/** Flags that every command has which talks to a registry, and the RemoteContext that they make. */
import type { RemoteContext } from "../remote/context.ts";
import type { Context, Flags, FlagValues } from "./command.ts";

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

/** For commands with a registry at both ends; skopeo's names. */
export const SIDED_FLAGS = {
  authfile: REMOTE_FLAGS.authfile,
  "src-authfile": { type: "string", value: "FILE", summary: "Credentials for the source" },
  "dest-authfile": { type: "string", value: "FILE", summary: "Credentials for the destination" },
  "src-tls-verify": {
    type: "string",
    value: "BOOL",
    choices: ["true", "false"],
    summary: "false allows plain HTTP and any certificate at the source",
  },
  "dest-tls-verify": {
    type: "string",
    value: "BOOL",
    choices: ["true", "false"],
    summary: "false allows plain HTTP and any certificate at the destination",
  },
} as const satisfies Flags;

export function sidedContext(
  context: Context,
  values: FlagValues<typeof SIDED_FLAGS>,
  side: "src" | "dest",
): RemoteContext {
  return remoteContext(context, {
    authfile: values[`${side}-authfile`] ?? values.authfile,
    "tls-verify": values[`${side}-tls-verify`],
  });
}

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

/** BuildRequest: what the user asked for, with everything from the command line and the environment already read. */
import type { StagedFile } from "../containerfile/stages.ts";

export interface SecretSource {
  readonly content: Uint8Array;
}

export interface BuildRequest {
  /** Shown in messages: the Containerfile's path, or `-`. */
  readonly fileName: string;
  readonly file: StagedFile;
  /** `--build-arg`: name to value. */
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly target: string | undefined;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** What `RUN --network=default` means. */
  readonly network: "private" | "host" | "none";
  readonly secrets: ReadonlyMap<string, SecretSource>;
  /** Proxy variables for RUN: never stored, never in a cache key. */
  readonly proxies: ReadonlyMap<string, string>;
  readonly architecture: string;
  /** SOURCE_DATE_EPOCH, seconds. */
  readonly epochSec: number | undefined;
}

/** Proxy variables that RUN gets without ARG. */
export const PROXY_NAMES = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

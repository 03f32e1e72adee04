/**
 * BuildPlan: what a build will do, every variable resolved, before the first step runs. Printable; `apply` decides nothing that
 * stands here.
 */
import type { Heredoc } from "../containerfile/logical-line.ts";
import type { Stage } from "../containerfile/stages.ts";
import type { RunConfig } from "../oci/config.ts";

/** Where COPY or a mount takes its files from. */
export type SourceRef =
  | { readonly kind: "context" }
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "image"; readonly name: string };

export type BaseRef = { readonly kind: "scratch" } | Exclude<SourceRef, { readonly kind: "context" }>;

export type StepMount =
  | {
      readonly kind: "bind";
      readonly from: SourceRef;
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
    }
  | {
      readonly kind: "cache";
      readonly id: string;
      readonly target: string;
      readonly sharing: "shared" | "private" | "locked";
      readonly from: SourceRef | undefined;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly readOnly: boolean;
    }
  | { readonly kind: "tmpfs"; readonly target: string; readonly sizeBytes: number | undefined }
  | {
      readonly kind: "secret";
      readonly id: string;
      /** undefined when only the variable is wanted. */
      readonly target: string | undefined;
      readonly env: string | undefined;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

export interface RunAction {
  readonly kind: "run";
  readonly argv: readonly string[];
  /** A script that begins with `#!`: made a file and run; `argv` is then empty. */
  readonly script: string | undefined;
  /** Sorted `NAME=value`, proxies left out. */
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDirectory: string;
  readonly network: "private" | "host" | "none";
  readonly mounts: readonly StepMount[];
}

/** A heredoc's content has its variables expanded. */
export type PlannedSource =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "heredoc"; readonly heredoc: Heredoc };

export interface CopyAction {
  readonly kind: "copy";
  readonly from: SourceRef;
  readonly sources: readonly PlannedSource[];
  /** Absolute; ends with `/` when it must be a directory. */
  readonly target: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly exclude: readonly string[];
  readonly parents: boolean;
  /** Local tar archives are unpacked (ADD). */
  readonly unpack: boolean;
}

export type Action =
  | { readonly kind: "none" }
  | RunAction
  | CopyAction
  /** The directory is made when it is missing. */
  | { readonly kind: "workdir"; readonly path: string; readonly user: string };

export interface Step {
  /** From 1, FROM included. */
  readonly number: number;
  /** Physical line of the Containerfile. */
  readonly line: number;
  /** As shown, e.g. `RUN apt-get update`. */
  readonly text: string;
  /** For the history; `%DIGEST%` stands for the digest of what COPY brings. */
  readonly createdBy: string;
  readonly action: Action;
  /** The image's configuration after this step. */
  readonly config: RunConfig;
  readonly author: string | undefined;
}

export interface StagePlan {
  readonly stage: Stage;
  /** `FROM …` as shown. */
  readonly fromText: string;
  readonly base: BaseRef;
  readonly initialConfig: RunConfig;
  readonly steps: readonly Step[];
}

export interface BuildPlan {
  readonly stages: readonly StagePlan[];
  readonly target: Stage;
  readonly warnings: readonly string[];
}

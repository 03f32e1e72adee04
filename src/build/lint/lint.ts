/**
 * lintRoot(): checks a tree that is to become a system. The rules' names, severities and the words of the result are bootc's, so that
 * scripts and `--skip` lists keep working; `kernel-version` is berth's own.
 */
import { Failure } from "../../core/failure.ts";
import { suggest } from "../../core/suggest.ts";
import type { LintRoot } from "./lint-root.ts";
import type { LintRule } from "./rule.ts";
import { bootcKargs, kernel, kernelVersion, sysusers, utf8, varTmpfiles } from "./rules-content.ts";
import {
  apiBaseDirectories,
  baseimageComposefs,
  baseimageRoot,
  buildahInjected,
  etcUsretc,
  nonemptyBoot,
  nonemptyRunTmp,
  varLog,
  varRun,
} from "./rules-layout.ts";

/** By name. */
export const LINT_RULES: readonly LintRule[] = [
  apiBaseDirectories,
  baseimageComposefs,
  baseimageRoot,
  bootcKargs,
  buildahInjected,
  etcUsretc,
  kernel,
  kernelVersion,
  nonemptyBoot,
  nonemptyRunTmp,
  sysusers,
  utf8,
  varLog,
  varRun,
  varTmpfiles,
].sort((left, right) => (left.name < right.name ? -1 : 1));

export interface LintFinding {
  readonly name: string;
  readonly type: "fatal" | "warning";
  readonly message: string;
}

export interface LintResult {
  readonly passed: number;
  readonly skipped: number;
  readonly findings: readonly LintFinding[];
}

export interface LintOptions {
  readonly skip: readonly string[];
  /** Lists are cut after five items. */
  readonly truncate: boolean;
}

/** Failure "usage" for a rule to skip that does not exist. */
export function lintRoot(root: LintRoot, options: LintOptions): LintResult {
  for (const name of options.skip) {
    if (LINT_RULES.some((rule) => rule.name === name)) continue;
    const near = suggest(
      name,
      LINT_RULES.map((rule) => rule.name),
    );
    throw new Failure("usage", `Cannot skip lint "${name}": there is no such lint`, {
      hint: near === undefined ? "--list shows all" : `did you mean ${near}?`,
    });
  }
  const kind = root.isRunning ? "running" : "alternative";
  const wanted = LINT_RULES.filter((rule) => !options.skip.includes(rule.name) && (rule.rootType ?? kind) === kind);
  const findings = wanted.flatMap((rule): LintFinding[] => {
    const message = rule.check(root, options);
    return message === undefined ? [] : [{ name: rule.name, type: rule.type, message }];
  });
  return { passed: wanted.length - findings.length, skipped: LINT_RULES.length - wanted.length, findings };
}

export function countFailed(result: LintResult, options: { readonly fatalWarnings: boolean }): number {
  return result.findings.filter((finding) => finding.type === "fatal" || options.fatalWarnings).length;
}

export function formatLint(result: LintResult): string {
  const warnings = result.findings.filter((finding) => finding.type === "warning").length;
  return [
    ...result.findings.map(
      (finding) => `${finding.type === "fatal" ? "Failed lint" : "Lint warning"}: ${finding.name}: ${finding.message}`,
    ),
    `Checks passed: ${result.passed}`,
    ...(result.skipped > 0 ? [`Checks skipped: ${result.skipped}`] : []),
    ...(warnings > 0 ? [`Warnings: ${warnings}`] : []),
    "",
  ].join("\n");
}

/** YAML, as `bootc container lint --list` has it. */
export function formatLintList(): string {
  return LINT_RULES.map((rule) =>
    [
      `- name: ${rule.name}`,
      `  type: ${rule.type}`,
      `  description: ${JSON.stringify(rule.description)}`,
      ...(rule.rootType === undefined ? [] : [`  root-type: ${rule.rootType}`]),
      "",
    ].join("\n"),
  ).join("");
}

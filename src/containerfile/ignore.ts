/**
 * IgnoreRules: `.containerignore` and `.dockerignore`, and the patterns of COPY --exclude. The last rule that matches decides; a
 * rule covers all below what it names; a directory may be passed over only when no later `!` rule can match below it.
 *
 * @see Dockerfile reference, ".dockerignore file"
 */
import { globSource } from "./glob.ts";

interface Rule {
  readonly negated: boolean;
  readonly whole: RegExp;
  /** The pattern's components, for asking what can match below a directory. */
  readonly components: readonly string[];
}

export interface IgnoreRules {
  /** `path` is relative to the context's root, without a leading slash. */
  ignores(path: string): boolean;
  /** True when nothing below this ignored directory can be wanted. */
  prunes(path: string): boolean;
  readonly isEmpty: boolean;
}

/** Throws SyntaxError naming the line. */
export function parseIgnoreFile(text: string): IgnoreRules {
  const lines = (text.startsWith("\uFEFF") ? text.slice(1) : text).split("\n");
  return createIgnoreRules(lines.flatMap((line) => (line.startsWith("#") ? [] : [line.replace(/\r$/, "")])));
}

export function createIgnoreRules(patterns: readonly string[]): IgnoreRules {
  const rules = patterns.flatMap((pattern) => parseRule(pattern) ?? []);
  const ignores = (path: string): boolean => {
    let ignored = false;
    for (const rule of rules) if (rule.negated === ignored && rule.whole.test(path)) ignored = !rule.negated;
    return ignored;
  };
  return {
    ignores,
    prunes: (path) => ignores(path) && !rules.some((rule) => rule.negated && mayMatchBelow(rule, path)),
    isEmpty: rules.length === 0,
  };
}

function parseRule(line: string): Rule | undefined {
  let pattern = line.trim();
  if (pattern === "") return undefined;
  const negated = pattern.startsWith("!");
  if (negated) pattern = pattern.slice(1).trim();
  const components = cleanPath(pattern);
  if (components.length === 0) {
    if (negated) throw new SyntaxError(`illegal exclusion pattern ${JSON.stringify(line)}`);
    return undefined;
  }
  const source = globSource(components.join("/"));
  return { negated, whole: new RegExp(`^${source}(?:/.*)?$`, "su"), components };
}

/** `.`, `..` and empty components are resolved; nothing climbs above the root. */
export function cleanPath(path: string): string[] {
  const components: string[] = [];
  for (const component of path.split("/")) {
    if (component === "" || component === ".") continue;
    if (component === "..") components.pop();
    else components.push(component);
  }
  return components;
}

function mayMatchBelow(rule: Rule, directory: string): boolean {
  const names = directory.split("/");
  for (const [i, name] of names.entries()) {
    const component = rule.components[i];
    if (component === undefined) return true;
    if (component.includes("**")) return true;
    if (!new RegExp(`^${globSource(component)}$`, "su").test(name)) return false;
  }
  return true;
}

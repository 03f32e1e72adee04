/** The rules of the source tree, run as a test: import rings, Node modules of the pure rings, listed commands, banned words, sizes. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

const root = path.dirname(import.meta.dirname);

/** What each folder of src/ may import besides itself (ARCHITECTURE.md, "Rings"). */
const RINGS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  tree: ["core"],
  format: ["core", "tree"],
  oci: ["core"],
  boot: ["core"],
  containerfile: ["core"],
  host: ["core", "tree"],
  store: ["core", "tree", "format", "oci", "host"],
  remote: ["core", "format", "oci", "host", "store"],
  registry: ["core", "oci", "host"],
  containers: ["core", "oci", "host", "store"],
  build: ["core", "tree", "format", "oci", "boot", "containerfile", "host", "store", "remote", "containers"],
  deploy: ["core", "tree", "format", "oci", "boot", "host", "store", "remote"],
  disk: ["core", "tree", "format", "oci", "boot", "host", "store", "deploy"],
  vm: ["core", "host"],
  cli: ["*"],
};
const PURE = new Set(["core", "tree", "format", "oci", "boot", "containerfile"]);
const PURE_NODE = new Set([
  "node:crypto",
  "node:zlib",
  "node:util",
  "node:assert",
  "node:assert/strict",
  "node:buffer",
]);
const EFFECTS =
  /^node:(fs|fs\/promises|child_process|net|http|https|tls|os|process|worker_threads|ffi|dns|dgram|readline|readline\/promises)$/;
const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\b(TODO|FIXME|XXX)\b/, "finish it or file an issue"],
  [/\bas any\b|: any\b/, "unknown, and a parse function"],
  [/export default/, "a named export"],
  [/\b(it|test|describe)\.(skip|only|todo)\b/, "a test that runs"],
];

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: Source[] = globSync("{src,tools,test,bench}/**/*.ts", { cwd: root }).map((file) => {
  const text = readFileSync(path.join(root, file), "utf8");
  const imports = [
    ...text.matchAll(/^(?:import|export)\s[^;"']*?from\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm),
  ].map((m) => m[1] ?? m[2] ?? m[3] ?? "");
  return { file, text, imports };
});
const program = sources.filter(
  ({ file }) => file.startsWith("src/") && !file.endsWith(".test.ts") && !file.includes("/testing/"),
);

test("each folder imports only what its ring allows", () => {
  const problems = program.flatMap(({ file, imports }) => {
    const folder = file.split("/")[1] ?? "";
    const allowed = RINGS[folder];
    if (allowed === undefined) return [`${file}: folder ${folder} has no ring`];
    return imports
      .filter((name) => name.startsWith("."))
      .map(
        (name) =>
          path.relative(path.join(root, "src"), path.resolve(root, path.dirname(file), name)).split("/")[0] ?? "",
      )
      .filter((target) => target !== folder && target !== ".." && !allowed.includes("*") && !allowed.includes(target))
      .map((target) => `${file} imports ${target}/`);
  });
  assert.deepEqual(problems, []);
});

test("the pure rings touch no world, and only host/ and cli/main.ts do", () => {
  const problems = program.flatMap(({ file, imports }) => {
    const folder = file.split("/")[1] ?? "";
    return imports
      .filter((name) => name.startsWith("node:"))
      .filter((name) =>
        PURE.has(folder) ? !PURE_NODE.has(name) : folder !== "host" && file !== "src/cli/main.ts" && EFFECTS.test(name),
      )
      .map((name) => `${file} imports ${name}`);
  });
  assert.deepEqual(problems, []);
});

test("private files (_name.ts) are imported from their own folder only", () => {
  const problems = sources.flatMap(({ file, imports }) =>
    imports.filter((name) => /\/_[^/]+$/.test(name) && !name.startsWith("./")).map((name) => `${file} imports ${name}`),
  );
  assert.deepEqual(problems, []);
});

test("every command file is in the table", () => {
  const table = readFileSync(path.join(root, "src/cli/commands.ts"), "utf8");
  const missing = globSync("src/cli/commands/*.ts", { cwd: root })
    .filter((file) => !file.endsWith(".test.ts") && !path.basename(file).startsWith("_"))
    .filter((file) => !table.includes(`./commands/${path.basename(file)}"`));
  assert.deepEqual(missing, []);
});

test("no banned word, no oversized file, every file opens with what it is", () => {
  const problems = sources.flatMap(({ file, text }) => {
    if (file === "tools/tidy.test.ts") return [];
    const found = BANNED.filter(([pattern]) => pattern.test(text)).map(
      ([pattern, instead]) => `${file}: ${pattern} is banned, use ${instead}`,
    );
    const lines = text.split("\n").length;
    if (lines > 450 && !file.includes(".test.")) found.push(`${file}: ${lines} lines, split it by idea`);
    if (file.startsWith("src/") && !file.endsWith(".test.ts") && !/^(#!.*\n)?\/\*\*/.test(text))
      found.push(`${file}: does not open with /** … */`);
    return found;
  });
  assert.deepEqual(problems, []);
});

test("no file of the program is imported by nobody", () => {
  const entries = new Set(["src/cli/main.ts", "src/host/program.ts"]);
  const imported = new Set(
    sources.flatMap(({ file, imports }) =>
      imports
        .filter((name) => name.startsWith("."))
        .map((name) => path.relative(root, path.resolve(root, path.dirname(file), name))),
    ),
  );
  assert.deepEqual(
    program
      .map(({ file }) => file)
      .filter((file) => !imported.has(file) && !entries.has(file) && !file.endsWith(".worker.ts")),
    [],
  );
});

test("version.ts and package.json agree", () => {
  const version: unknown = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")).version;
  assert.ok(readFileSync(path.join(root, "src/cli/version.ts"), "utf8").includes(`"${String(version)}"`));
});

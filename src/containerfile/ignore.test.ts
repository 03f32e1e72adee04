import assert from "node:assert/strict";
import { test } from "node:test";
import { globToRegExp } from "./glob.ts";
import { createIgnoreRules, parseIgnoreFile } from "./ignore.ts";

const table: readonly (readonly [patterns: string, ignored: readonly string[], kept: readonly string[]])[] = [
  ["a", ["a", "a/b", "a/b/c"], ["ab", "x/a"]],
  ["/a/", ["a", "a/b"], ["x/a"]],
  ["*.md", ["x.md"], ["d/x.md", "md"]],
  ["**/*.md", ["x.md", "d/x.md", "d/e/x.md"], ["x.mdx"]],
  ["*/temp*", ["d/temp", "d/temporary/x"], ["temp", "a/b/temp"]],
  ["*/*/temp*", ["a/b/temp"], ["a/temp"]],
  ["temp?", ["tempa"], ["temp", "tempab"]],
  ["*\n!keep", ["x", "d/x"], ["keep", "keep/x"]],
  ["*.md\n!README.md", ["x.md"], ["README.md"]],
  ["*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md", "README-a.md"]],
  ["a/**", ["a/b", "a/b/c"], ["b"]],
  ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["b"]],
  ["# a\n\n  b  \n", ["b"], ["# a", "a"]],
  ["[a-c].txt", ["b.txt"], ["d.txt"]],
  ["[^a-c].txt", ["d.txt"], ["b.txt"]],
  ["\\*.txt", ["*.txt"], ["a.txt"]],
  ["./a/../b", ["b"], ["a"]],
  ["a(b)+.c", ["a(b)+.c"], ["abb.c"]],
  ["\uFEFFa\r\nb\r\n", ["a", "b"], []],
];

for (const [patterns, ignored, kept] of table) {
  test(`ignore rules ${JSON.stringify(patterns)}`, () => {
    const rules = parseIgnoreFile(patterns);
    for (const path of ignored) assert.ok(rules.ignores(path), `${path} should be ignored`);
    for (const path of kept) assert.ok(!rules.ignores(path), `${path} should be kept`);
  });
}

test("a directory is pruned only when no exception can match below it", () => {
  const rules = createIgnoreRules(["a", "b", "!b/keep/*.txt", "c"]);
  assert.ok(rules.prunes("a"));
  assert.ok(!rules.prunes("b"));
  assert.ok(!rules.prunes("b/keep"));
  assert.ok(rules.prunes("b/other"));
  assert.ok(rules.prunes("c/b"));
  assert.ok(!createIgnoreRules(["a", "!**/x"]).prunes("a/b"));
});

test("malformed patterns are refused", () => {
  assert.throws(() => parseIgnoreFile("a["), /unfinished \[/);
  assert.throws(() => parseIgnoreFile("[]a"), /empty \[\]/);
  assert.throws(() => parseIgnoreFile("a\\"), /lone/);
  assert.throws(() => parseIgnoreFile("!/"), /illegal exclusion/);
});

test("globToRegExp() keeps to one directory", () => {
  assert.ok(globToRegExp("a*/b?").test("axx/by"));
  assert.ok(!globToRegExp("a*").test("a/b"));
  assert.ok(!globToRegExp("a[/]b").test("a/b"));
});

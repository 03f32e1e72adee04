import assert from "node:assert/strict";
import { test } from "node:test";
import { compileGlob } from "./glob.ts";
import { createPermissions, type Rule } from "./permissions.ts";

for (const [pattern, matching, others] of [
  ["team/os", ["team/os"], ["team/os2", "team", "x/team/os", "team/os/x"]],
  ["team/*", ["team/os"], ["team", "team/a/b"]],
  ["team/**", ["team/os", "team/a/b"], ["team", "teams/os"]],
  ["**", ["a", "a/b/c"], []],
  ["*/os", ["team/os"], ["a/b/os", "os"]],
  ["**/os", ["team/os", "a/b/os"], ["os"]],
  ["a.b-c", ["a.b-c"], ["axb-c"]],
] as const) {
  test(`compileGlob() matches whole names with ${pattern}`, () => {
    const glob = compileGlob(pattern);
    for (const name of matching) assert.equal(glob.test(name), true, name);
    for (const name of others) assert.equal(glob.test(name), false, name);
  });
}

for (const bad of ["", "Team/*", "a b", "[ab]", "a?", "x".repeat(256), "(a+)+"]) {
  test(`compileGlob() rejects ${JSON.stringify(bad.slice(0, 20))}`, () =>
    assert.throws(() => compileGlob(bad), SyntaxError));
}

const rule = (changes: Partial<Rule>): Rule => ({
  repositories: ["**"],
  actions: ["pull"],
  users: [],
  groups: [],
  anonymous: false,
  ...changes,
});
const user = (name: string) => ({ name, credential: "x" });

test("permissions: rules only add, for users, groups, everybody logged in, and anonymous clients", () => {
  const may = createPermissions(
    [
      rule({ repositories: ["public/**"], anonymous: true }),
      rule({ repositories: ["shared/**"], users: ["*"] }),
      rule({ repositories: ["team/**"], groups: ["ops"], actions: ["pull", "push"] }),
      rule({ repositories: ["team/os"], users: ["anna"], actions: ["delete"] }),
    ],
    new Map([["ops", ["bert", "anna"]]]),
  );
  const rights = (account: { name: string; credential: string } | undefined): string =>
    ["public/a", "shared/a", "team/os", "team/x", "private"]
      .map((name) => (["pull", "push", "delete"] as const).filter((action) => may(account)(action, name)).join("+"))
      .join(" ");
  assert.equal(rights(undefined), "pull    ");
  assert.equal(rights(user("eve")), "pull pull   ");
  assert.equal(rights(user("bert")), "pull pull pull+push pull+push ");
  assert.equal(rights(user("anna")), "pull pull pull+push+delete pull+push ");
  const robot = { ...user("robot:ci"), grant: { repositories: ["team/x"], actions: ["push"] as const } };
  assert.equal(rights(robot), "   push ", "a robot has its own rights and no others");
});

test("without rules who is logged in may do everything, and nobody else anything", () => {
  const may = createPermissions(undefined, new Map());
  assert.equal(may(user("anna"))("delete", "x"), true);
  assert.equal(may(undefined)("pull", "x"), false);
  assert.equal(createPermissions([], new Map())(user("anna"))("pull", "x"), false);
});

test("a group that is not there is an error", () => {
  assert.throws(() => createPermissions([rule({ groups: ["oops"] })], new Map()), /no group "oops"/);
});

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { createKey, findByKey, formatRobots, parseRobots } from "./robots.ts";
import { formatScope, grantScopes, parseScopes } from "./scope.ts";
import { createTokens } from "./tokens.ts";

const KEY = Buffer.alloc(32, 7);
const anna = { name: "anna", credential: "$2b$10$x" };

test("a token is what was signed, until it ends, for its use and its credential", () => {
  let now = 1_000_000;
  const tokens = createTokens(KEY, () => now);
  const scopes = parseScopes(["repository:team/os:pull,push"]);
  const token = tokens.issue("access", anna, scopes, 60_000);
  const claims = tokens.verify(token, "access");
  assert.deepEqual(claims?.scopes, scopes);
  assert.equal(claims.account, "anna");
  assert.equal(tokens.isOf(claims, anna), true);
  assert.equal(tokens.isOf(claims, { ...anna, credential: "changed" }), false);
  assert.equal(tokens.isOf(claims, { ...anna, name: "bert" }), false);
  assert.equal(tokens.verify(token, "access"), claims, "its signature is checked once");
  assert.equal(tokens.verify(token, "refresh"), undefined);
  assert.equal(createTokens(Buffer.alloc(32, 8), () => now).verify(token, "access"), undefined, "another key");
  now += 59_999;
  assert.ok(tokens.verify(token, "access"));
  now += 1;
  assert.equal(tokens.verify(token, "access"), undefined, "over");
  assert.doesNotMatch(Buffer.from(token.split(".")[1] ?? "", "base64url").toString(), /\$2b\$/, "no hash in the token");
});

test("a forged token is refused", () => {
  const tokens = createTokens(KEY, () => 0);
  const token = tokens.issue("access", anna, [], 60_000);
  const [header = "", claims = "", signature = ""] = token.split(".");
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const root = Buffer.from(claims, "base64url").toString().replace("anna", "root");
  const none = `${encode({ alg: "none", typ: "JWT" })}.${claims}`;
  const signedNone = `${none}.${createHmac("sha256", KEY).update(none).digest("base64url")}`;
  for (const bad of [
    "",
    ".",
    "..",
    header,
    `${header}.${claims}`,
    `${header}.${claims}.`,
    `${header}.${claims}.${signature.slice(0, -2)}`,
    `${header}.${Buffer.from(root).toString("base64url")}.${signature}`,
    `${none}.`,
    signedNone,
    `${token}.x`,
    "a".repeat(100_000),
  ]) {
    assert.equal(tokens.verify(bad, "access"), undefined, bad.slice(0, 80));
  }
});

for (const [text, wanted] of [
  ["repository:team/os:pull", ["repository:team/os:pull"]],
  ["repository:team/os:pull,push repository:base:pull", ["repository:team/os:pull,push", "repository:base:pull"]],
  ["repository:team/os:*", ["repository:team/os:pull,push,delete"]],
  ["registry:catalog:*", ["registry:catalog:*"]],
  ["repository:secret:pull", []],
  ["repository:team/os:fly", []],
  ["repository:Team/OS:pull", []],
  ["repository::pull", []],
  ["plugin:x:pull", []],
  ["", []],
] as const) {
  test(`scope ${JSON.stringify(text)} grants ${wanted.length}`, () => {
    const granted = grantScopes(parseScopes([text]), (_action, name) => name !== "secret");
    assert.deepEqual(granted.map(formatScope), wanted);
  });
}

test("a robot's key opens its entry until it ends; the file holds no key", () => {
  let byte = 0;
  const random = (size: number): Uint8Array => Buffer.alloc(size, (byte += 1));
  const made = createKey(random);
  const other = createKey(random);
  const robot = {
    name: "ci",
    id: made.id,
    hash: made.hash,
    created: 0,
    expires: 1000,
    repositories: ["a/**"],
    actions: ["pull"] as const,
  };
  const file = formatRobots([robot]);
  assert.doesNotMatch(file, new RegExp(made.key));
  const robots = parseRobots(file);
  assert.deepEqual(robots, [robot]);
  assert.equal(findByKey(robots, made.key, 999)?.name, "ci");
  for (const [key, now] of [
    [made.key, 1000],
    [other.key, 0],
    [other.key.replace(other.id, made.id), 0],
    [`${made.key}x`, 0],
    ["berth_", 0],
    ["", 0],
  ] as const) {
    assert.equal(findByKey(robots, key, now), undefined, key);
  }
});

test("parseRobots() rejects what is malformed and takes the empty file", () => {
  assert.deepEqual(parseRobots(""), []);
  const good = JSON.parse(
    formatRobots([
      { name: "ci", id: "0", hash: "0", created: 0, expires: undefined, repositories: ["a"], actions: ["pull"] },
    ]),
  );
  for (const change of [
    { actions: ["fly"] },
    { repositories: ["A"] },
    { expires: "soon" },
    { hash: 1 },
    { name: null },
  ]) {
    assert.throws(() => parseRobots(JSON.stringify({ robots: [{ ...good.robots[0], ...change }] })), SyntaxError);
  }
  for (const bad of ["[]", "{}", "x"]) assert.throws(() => parseRobots(bad), SyntaxError);
});

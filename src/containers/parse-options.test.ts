import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { parseContainerName, parseEnvironment, parsePublish, parseVolume, parseWorkdir } from "./parse-options.ts";
import { parseSignal } from "./signals.ts";

const isUsage = (error: unknown): boolean => isFailure(error, "usage");

test("parsePublish() reads every form", () => {
  const table: readonly (readonly [string, string, number, number])[] = [
    ["80", "0.0.0.0", 0, 80],
    ["8080:80", "0.0.0.0", 8080, 80],
    ["127.0.0.1:8080:80", "127.0.0.1", 8080, 80],
    ["127.0.0.1::80", "127.0.0.1", 0, 80],
    ["[::1]:8080:80/tcp", "::1", 8080, 80],
  ];
  for (const [text, address, hostPort, containerPort] of table) {
    assert.deepEqual(parsePublish(text), { address, hostPort, containerPort }, text);
  }
});

test("parsePublish() refuses what is no port", () => {
  for (const text of [
    "",
    "a:b",
    "80:",
    "80:0",
    "70000:80",
    "1:2:3",
    "999.1.1.1:80:80",
    "80:80/udp",
    "80-90:80-90",
    ":::",
  ]) {
    assert.throws(() => parsePublish(text), isUsage, text);
  }
});

test("parseVolume() reads source, target and access", () => {
  assert.deepEqual(parseVolume("/a:/b"), { kind: "bind", source: "/a", target: "/b", readOnly: false });
  assert.deepEqual(parseVolume("/a:/b:ro,z"), { kind: "bind", source: "/a", target: "/b", readOnly: true });
  for (const text of ["/a", "a:/b", "/a:b", "/a:/", "/a:/b:rx", "/a:/b:ro:x"])
    assert.throws(() => parseVolume(text), isUsage, text);
});

test("parseEnvironment() takes a bare name's value from here", () => {
  assert.equal(parseEnvironment("A=b=c", {}), "A=b=c");
  assert.equal(parseEnvironment("A", { A: "here" }), "A=here");
  assert.equal(parseEnvironment("A", {}), undefined);
  for (const text of ["", "=x", "a b=c"]) assert.throws(() => parseEnvironment(text, {}), isUsage, text);
});

test("parseContainerName() refuses what cannot be typed", () => {
  assert.equal(parseContainerName("web-1.x_y"), "web-1.x_y");
  for (const text of ["", "-a", "a b", "a/b", "x".repeat(129)])
    assert.throws(() => parseContainerName(text), isUsage, text);
});

test("parseWorkdir() takes absolute paths", () => {
  assert.equal(parseWorkdir("/srv/é"), "/srv/\xc3\xa9");
  for (const text of ["", "a", "./a"]) assert.throws(() => parseWorkdir(text), isUsage, text);
});

test("parseSignal() knows names, numbers and real-time signals", () => {
  for (const [text, number] of [
    ["TERM", 15],
    ["sigkill", 9],
    ["37", 37],
    ["SIGRTMIN+3", 37],
    ["RTMAX", 64],
    ["RTMAX-1", 63],
  ] as const) {
    assert.equal(parseSignal(text), number, text);
  }
  for (const text of ["", "0", "65", "NONE", "RTMIN-40", "RTMAX+1"])
    assert.throws(() => parseSignal(text), isUsage, text);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { parseHostname } from "../core/host-name.ts";
import { parseAuthorizedKeys, parseDiskType, parseKarg, parseSize, parseUser, parseUsers } from "./request.ts";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2JhcmJhemZvb2JhcmJhemZvb2JhcmJhemZvb2Jh me@here";
const noKeys = (): string => assert.fail("no key file was named");
const usage = (error: unknown): boolean => isFailure(error, "usage");
const badInput = (error: unknown): boolean => isFailure(error, "bad-input");

test("parseSize() reads powers of 1024", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["10G", 10 * 2 ** 30],
    ["10GiB", 10 * 2 ** 30],
    ["10gb", 10 * 2 ** 30],
    ["800M", 800 * 2 ** 20],
    ["1.5G", 1.5 * 2 ** 30],
    ["4096", 4096],
    ["2T", 2 * 2 ** 40],
    ["512K", 2 ** 19],
    ["512B", 512],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text, "--size"), bytes, text);
});

test("parseSize() rejects what is no size", () => {
  for (const text of ["", "0", "-1G", "10 G", "G", "10X", "1e3", "1,5G", "0x10", "99999999T", "10GG"]) {
    assert.throws(() => parseSize(text, "--size"), usage, text);
  }
});

test("parseUser() reads name, groups and key file", () => {
  assert.deepEqual(parseUser("ann", noKeys), { name: "ann", groups: [], authorizedKeys: "" });
  assert.deepEqual(parseUser("ann:sudo,adm,sudo", noKeys), {
    name: "ann",
    groups: ["sudo", "adm"],
    authorizedKeys: "",
  });
  assert.deepEqual(
    parseUser("ann::/a:b.pub", (path) => `[${path}]`),
    { name: "ann", groups: [], authorizedKeys: "[/a:b.pub]" },
  );
});

test("parseUser() rejects bad names and groups", () => {
  for (const text of [
    "",
    "Ann",
    "1ann",
    "ann bee",
    "root",
    "root:sudo",
    "ann:Sudo",
    "ann:a,,b",
    "a".repeat(33),
    "../x",
    "ann:x\ny",
  ]) {
    assert.throws(() => parseUser(text, noKeys), usage, text);
  }
});

test("parseAuthorizedKeys() keeps keys with options and drops comments", () => {
  assert.equal(parseAuthorizedKeys(`# mine\n\n${KEY}\r\n`, "k"), `${KEY}\n`);
  const options = `from="10.0.0.0/8",no-pty ${KEY}`;
  assert.equal(parseAuthorizedKeys(options, "k"), `${options}\n`);
});

test("parseAuthorizedKeys() rejects private keys, other text and nothing", () => {
  assert.throws(() => parseAuthorizedKeys("-----BEGIN OPENSSH PRIVATE KEY-----\nabc", "k"), /private key/);
  for (const text of ["", "# only a comment", "hello", "ssh-ed25519", "ssh-ed25519 short", `${KEY}\nrubbish`]) {
    assert.throws(() => parseAuthorizedKeys(text, "k"), badInput, text);
  }
});

test("parseHostname(), parseKarg(), parseDiskType() take good values", () => {
  assert.equal(parseHostname("web-1.example.com"), "web-1.example.com");
  assert.equal(parseKarg(" console=ttyS0 "), "console=ttyS0");
  assert.equal(parseDiskType("qcow2"), "qcow2");
});

test("parseHostname(), parseKarg(), parseDiskType() reject the rest", () => {
  for (const text of ["", "-a", "a-", "a..b", "a_b", "a b", "x".repeat(65), "a\n"])
    assert.throws(() => parseHostname(text), usage, text);
  for (const text of ["", "  ", "a\nb", "composefs=1", "root=/dev/sda", 'a="b'])
    assert.throws(() => parseKarg(text), usage, text);
  for (const text of ["", "vmdk", "RAW", "iso"]) assert.throws(() => parseDiskType(text), usage, text);
});

test("parseUsers() rejects a name that comes twice", () => {
  assert.deepEqual(
    parseUsers(["ann", "bob:sudo"], () => "").map(({ name }) => name),
    ["ann", "bob"],
  );
  assert.throws(() => parseUsers(["ann", "ann:sudo"], () => ""), {
    code: "usage",
    message: 'Cannot add user "ann" twice: wanted one --user for each name',
  });
});

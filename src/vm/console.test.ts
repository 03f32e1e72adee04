import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { consoleMark, consoleTail, consoleText, panicOf, plainText, showsSsh } from "./console.ts";
import { vmPaths } from "./qemu-argv.ts";

const STARTED = "[  OK  ] Started ssh.service - OpenBSD Secure Shell server.\n";
const KERNEL = "[    0.000000] Linux version 6.12.0\n";

test("plainText() leaves out what terminals obey", () => {
  assert.equal(
    plainText("\x1b[0;32m  OK  \x1b[0m Started\r\n\x1b]0;title\x07x\x1b[?25l\x1b(By\x1b=z"),
    "  OK   Started\nxyz",
  );
});

test("showsSsh() believes in the current boot only", () => {
  assert.equal(showsSsh(""), false);
  assert.equal(showsSsh(KERNEL + STARTED), true);
  assert.equal(showsSsh(`${KERNEL}\nweb login: `), true);
  assert.equal(showsSsh("[  OK  ] Started sshd.service - OpenSSH server daemon.\n"), true);
  assert.equal(showsSsh(KERNEL + STARTED + KERNEL), false, "another kernel");
  assert.equal(
    showsSsh(`${KERNEL}${STARTED}[  OK  ] Stopped ssh.service - OpenBSD Secure Shell server.\n`),
    false,
    "on its way down",
  );
  assert.equal(showsSsh(`${KERNEL}${STARTED}[   60.0] reboot: Restarting system\n`), false, "about to reboot");
  assert.equal(showsSsh(`${KERNEL}${STARTED}${KERNEL}${STARTED}`), true, "the second boot");
  assert.equal(showsSsh(`${KERNEL}Starting ssh.service - OpenBSD Secure Shell server...\n`), false, "only starting");
});

test("consoleText() gives what came after a mark, and nothing without a log", () => {
  const paths = vmPaths("/vm");
  const host = createFakeHost({ files: { "/vm/console.log": "one\r\ntwo\n" } });
  assert.equal(consoleText(host, paths), "one\ntwo\n");
  assert.equal(consoleText(host, paths, 5), "two\n");
  assert.equal(consoleText(host, paths, 99), "");
  assert.equal(consoleMark(host, paths), 9);
  assert.equal(consoleText(createFakeHost(), paths), "");
});

test("consoleTail() keeps the last lines that say something", () => {
  assert.equal(consoleTail("a\n\n  b\nc \nd\n\n"), "b | c | d");
});

test("panicOf() says why the current boot's kernel stopped for good", () => {
  const panic = "[    7.8] Kernel panic - not syncing: Fatal exception in interrupt\n";
  assert.equal(panicOf(KERNEL + STARTED), undefined);
  assert.equal(panicOf(`${KERNEL}${panic}[    7.9] ---[ end Kernel panic`), "Fatal exception in interrupt");
  assert.equal(panicOf(KERNEL + panic + KERNEL), undefined, "another boot since");
  assert.equal(panicOf(`${KERNEL}${panic}[    7.9] Rebooting in 10 seconds..\n`), undefined);
});

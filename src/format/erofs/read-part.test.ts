import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDump } from "../dumpfile/parse.ts";
import { lookup } from "../../tree/walk.ts";
import { readErofs } from "./read.ts";
import { writeErofs } from "./write.ts";

const DUMP = [
  "/ 0 40755 2 0 0 0 1.0 - - -",
  "/etc 0 40755 2 0 0 0 1.0 - - -",
  "/etc/motd 3 100644 1 0 0 0 1.0 - hi\\n -",
  "/usr 0 40750 3 0 0 0 1.0 - - -",
  "/usr/share 0 40755 2 0 0 0 1.0 - - -",
  "/usr/share/big 2 100644 1 0 0 0 1.0 - x\\n -",
  "",
].join("\n");

test("readErofs() with keep reads only the kept directories, and the metadata of the others", () => {
  const image = writeErofs(parseDump(Buffer.from(DUMP)), { algorithm: "sha256" });
  const tree = readErofs(image, { keep: (path) => path === "/" || path === "/etc" });
  const usr = lookup(tree, "usr");
  assert.ok(usr?.kind === "directory");
  assert.equal(usr.stat.mode, 0o750);
  assert.equal(usr.children.size, 0);
  const motd = lookup(tree, "etc/motd");
  assert.ok(motd?.kind === "file" && motd.content.kind === "inline");
  assert.equal(Buffer.from(motd.content.bytes).toString(), "hi\n");
});

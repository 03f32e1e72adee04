import assert from "node:assert/strict";
import { test } from "node:test";
import { expandToWords, expandWord } from "./word-expansion.ts";
import { parseWord, variablesOf, WordError } from "./word-syntax.ts";

const values: Readonly<Record<string, string>> = {
  a: "1",
  empty: "",
  path: "/usr/lib/libc.so.6",
  file: "archive.tar.gz",
  words: "80 443/tcp",
  star: "*",
  dashes: "a-b-c",
};
const lookup = (name: string): string | undefined => values[name];
const expand = (text: string): string => expandWord(text, lookup, { escape: "\\" });

const accepted: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["$a", "1"],
  ["${a}b", "1b"],
  ["$ab", ""],
  ["x$", "x$"],
  ["$ x", "$ x"],
  ["$1$@$*$#$?$-$$$!$0.", "."],
  ["'$a'", "$a"],
  ['"$a b"', "1 b"],
  ['"\\$a \\" \\\\ \\n"', '$a " \\ \\n'],
  ["\\$a", "$a"],
  ["a\\ b", "a b"],
  ["'it'\\''s'", "it's"],
  ["a\\", "a"],
  ["${a:-x}", "1"],
  ["${empty:-x}", "x"],
  ["${empty-x}", ""],
  ["${unset-x}", "x"],
  ["${unset:-${a}y}", "1y"],
  ["${unset:-'}'}", "}"],
  ["${a:+x}${empty:+y}${empty+z}${unset+w}", "xz"],
  ["${a:?no}", "1"],
  ["${empty?no}", ""],
  ["${path#*/}", "usr/lib/libc.so.6"],
  ["${path##*/}", "libc.so.6"],
  ["${path%/*}", "/usr/lib"],
  ["${path%%/*}", ""],
  ["${file%.*}", "archive.tar"],
  ["${file%%.*}", "archive"],
  ["${file#arch}", "ive.tar.gz"],
  ["${file#?}", "rchive.tar.gz"],
  ["${star#\\*}", ""],
  ["${file#\\*}", "archive.tar.gz"],
  ["${dashes/-/_}", "a_b-c"],
  ["${dashes//-/_}", "a_b_c"],
  ["${dashes/-*/}", "a"],
  ["${path//\\//:}", ":usr:lib:libc.so.6"],
  ["${dashes//-/$a}", "a1b1c"],
  ["${dashes//./x}", "a-b-c"],
  ["${unset#x}", ""],
];

for (const [text, wanted] of accepted) {
  test(`expandWord(${text})`, () => assert.equal(expand(text), wanted));
}

const rejected: readonly (readonly [string, RegExp])[] = [
  ["'a", /unterminated '/],
  ['"a', /unterminated "/],
  ["${", /missing }/],
  ["${a", /missing }/],
  ["${}", /bad substitution/],
  ["${:x}", /bad substitution/],
  ["${{", /bad substitution/],
  ["${a:#x}", /unsupported modifier :#/],
  ["${a^}", /unsupported modifier \^/],
  ["${a/x}", /missing \//],
  ["${a#\\x}", /invalid escape/],
  ["${a:-${b}", /missing }/],
];

for (const [text, message] of rejected) {
  test(`parseWord(${text}) is refused`, () => {
    assert.throws(
      () => parseWord(text, { escape: "\\" }),
      (error) => error instanceof WordError && message.test(error.message),
    );
  });
}

test("${v:?…} fails with its text only when it is expanded", () => {
  assert.throws(() => expand("${unset:?set it}"), /^WordError: unset: set it$/);
  assert.throws(() => expand("${unset?}"), /unset: is not allowed to be unset/);
  assert.throws(() => expand("${empty:?}"), /empty: is not allowed to be empty/);
});

test("the escape directive's backtick leaves backslashes alone", () => {
  const syntax = { escape: "`" };
  assert.equal(expandWord("C:\\dir\\$a`$a", lookup, syntax), "C:\\dir\\1$a");
  assert.equal(
    expandWord("${x#`*}", () => "*y", syntax),
    "y",
  );
  assert.equal(
    expandWord("${x#a\\}", () => "a\\b", syntax),
    "b",
  );
});

test("heredoc bodies keep their quotes", () => {
  const text = "say \"$a\" 'and $a' \\$a \\n \\\\";
  assert.equal(expandWord(text, lookup, { escape: "\\", quotes: "keep" }), "say \"1\" 'and 1' $a \\n \\");
});

test("expandToWords() splits what unquoted variables bring", () => {
  const split = (text: string): string[] => expandToWords(text, lookup, { escape: "\\" });
  assert.deepEqual(split("$words"), ["80", "443/tcp"]);
  assert.deepEqual(split('"$words"'), ["80 443/tcp"]);
  assert.deepEqual(split("x${words}y"), ["x80", "443/tcpy"]);
  assert.deepEqual(split("$empty"), []);
});

test("variablesOf() names nested ones", () => {
  assert.deepEqual(variablesOf(parseWord('$a"${b:-${c}}"${d#$e}', { escape: "\\" })), ["a", "b", "c", "d", "e"]);
});

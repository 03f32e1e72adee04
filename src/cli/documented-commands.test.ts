/** Every command line that README, the guides and the help show is one that the program takes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { commands } from "./commands.ts";
import { parseInvocation } from "./parse.ts";

const ROOT = new URL("../../", import.meta.url);
const GUIDES = readdirSync(new URL("docs/guide/", ROOT)).map((name) => `docs/guide/${name}`);

test("README and the guides show commands that the program takes", () => {
  const lines = ["README.md", ...GUIDES].flatMap((page) => commandLines(readFileSync(new URL(page, ROOT), "utf8")));
  assert.ok(lines.length > 50, `only ${lines.length} commands were found`);
  for (const line of lines) assertTaken(line);
});

test("the help shows examples that the program takes", () => {
  for (const { examples = [] } of commands)
    for (const [text] of examples) for (const line of invocations(text)) assertTaken(line);
});

function assertTaken(line: string): void {
  assert.doesNotThrow(() => parseInvocation(commands, wordsOf(line)), line);
}

/** What follows the prompt in blocks of code, and blocks without a prompt. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```[a-z]*\n(.*?)^```/gms)].map(([, block = ""]) => block.replaceAll("\\\n", " "));
  return blocks.flatMap((block) =>
    block.split("\n").flatMap((line) => {
      const typed = /^(?:[$#] +|\S+[#$] )?((?:\.\/)?berth .*|.*[|;&] *(?:\.\/)?berth .*)$/.exec(line.trim())?.[1];
      return typed === undefined ? [] : invocations(typed);
    }),
  );
}

/** Each `berth …` of a line of the shell, up to where the shell's own part begins. */
function invocations(line: string): string[] {
  return line
    .split(/\s*(?:&&|\||;)\s*/)
    .map((part) => part.replace(/\s+(?:\d?[<>]|&$|# ).*$/, ""))
    .filter((part) => /^(?:sudo )?(?:\.\/)?berth /.test(part))
    .map((part) => part.replace(/^(?:sudo )?(?:\.\/)?berth /, ""));
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replaceAll(/['"]/g, ""));
}

/**
 * The corpus test/corpus/containerfile: a folder a case, `Containerfile` and what it must give, `want.txt`. Cases named `bad-…`
 * are rejected, all others accepted. BERTH_UPDATE=1 rewrites the wanted files; review the difference.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { checkContainerfile, formatCheck } from "./check.ts";
import { readContainerfile } from "./stages.ts";

const corpus = path.resolve(import.meta.dirname, "../../test/corpus/containerfile");
const cases = readdirSync(corpus).sort();

test("the corpus has at least 100 cases", () => assert.ok(cases.length >= 100, `${cases.length}`));

for (const name of cases) {
  test(`corpus ${name}`, () => {
    const text = readFileSync(path.join(corpus, name, "Containerfile"), "utf8");
    const result = checkContainerfile("Containerfile", text);
    assert.equal(result.accept, !name.startsWith("bad-"), formatCheck(result));
    const found = render(text);
    const wanted = path.join(corpus, name, "want.txt");
    if (process.env["BERTH_UPDATE"] === "1") writeFileSync(wanted, found);
    assert.equal(found, readFileSync(wanted, "utf8"));
  });
}

function render(text: string): string {
  const result = checkContainerfile("Containerfile", text);
  if (!result.accept) return formatCheck(result);
  const heredocs = new Map(
    readContainerfile(text).instructions.map(({ source }) => [source.line.line, source.line.heredocs] as const),
  );
  const lines = result.instructions.map(({ name, flags, args, line }) => {
    const bodies = (heredocs.get(line) ?? []).map(
      (body) =>
        `\n     <<${body.name}${body.expand ? "" : " (literal)"}${body.stripTabs ? " (tabs stripped)" : ""} ${JSON.stringify(body.content)}`,
    );
    return `${line} ${[name, ...flags].join(" ")} ${JSON.stringify(args)}${bodies.join("")}\n`;
  });
  return (
    lines.join("") + result.warnings.map((warning) => `warning: line ${warning.line}: ${warning.message}\n`).join("")
  );
}

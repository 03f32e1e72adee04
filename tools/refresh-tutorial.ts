/**
 * Puts what a tour printed into the tutorial: `node tools/refresh-tutorial.ts TRANSCRIPT [FILE…]` (default docs/guide/tutorial.md).
 *
 * The document says which commands are shown; each block's commands are looked up in the transcript, in order, and what they printed
 * replaces what stands there. A command that the tour did not run is an error. The table of times is the transcript's last one.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

interface Shown {
  readonly command: string;
  readonly output: readonly string[];
}

const root = path.dirname(import.meta.dirname);
const [transcriptFile, ...files] = process.argv.slice(2);
if (transcriptFile === undefined) {
  console.error("usage: node tools/refresh-tutorial.ts TRANSCRIPT [FILE…]");
  process.exit(2);
}
const transcript = readFileSync(transcriptFile, "utf8");
for (const file of files.length > 0 ? files : [path.join(root, "docs/guide/tutorial.md")]) {
  writeFileSync(file, refresh(readFileSync(file, "utf8"), parseTranscript(transcript), timesOf(transcript)));
}

/** Typed on this machine, or on the one that it booted. */
function isCommand(line: string): boolean {
  return /^(?:\$|\[root@\S+ ~\]#) /.test(line);
}

/** Each command that was shown, with its output. */
function parseTranscript(text: string): Shown[] {
  const shown: { command: string; output: string[] }[] = [];
  for (const line of text.split("\n")) {
    if (isCommand(line)) shown.push({ command: line, output: [] });
    else if (line.startsWith("== ")) shown.push({ command: "", output: [] });
    else shown.at(-1)?.output.push(line);
  }
  return shown.map(({ command, output }) => ({ command, output: withoutBlankEnds(output) }));
}

function timesOf(text: string): string[] {
  const end = text.trimEnd();
  return end.slice(end.lastIndexOf("\n\n") + 2).split("\n");
}

function refresh(document: string, shown: readonly Shown[], times: readonly string[]): string {
  const lines: string[] = [];
  let at = 0;
  let inBlock = false;
  let skipping = false;
  for (const line of document.split("\n")) {
    if (line.startsWith("```")) {
      inBlock = !inBlock;
      skipping = false;
      lines.push(line);
    } else if (inBlock && isCommand(line)) {
      const found = shown.findIndex(({ command }, i) => i >= at && command === line);
      if (found < 0) throw new Error(`the transcript does not have, after what stands above it: ${line}`);
      at = found + 1;
      lines.push(line, ...shorten(shown[found]?.output ?? []));
      skipping = true;
    } else if (inBlock && line.startsWith("Base images  ")) {
      lines.push(...times);
      skipping = true;
    } else if (!skipping) lines.push(line);
  }
  return lines.join("\n");
}

/** Of a build its own lines only: what the steps' commands print is theirs. */
function shorten(output: readonly string[]): string[] {
  if (!output.some((line) => line.startsWith("STEP 1/"))) return [...output];
  const kept: string[] = [];
  for (const line of output) {
    if (/^(STEP |-->|COMMIT |Successfully |[0-9a-f]{64}$)/.test(line)) kept.push(line);
    else if (kept.at(-1) !== "…") kept.push("…");
  }
  return kept;
}

function withoutBlankEnds(lines: readonly string[]): string[] {
  const end = lines.findLastIndex((line) => line.trim() !== "");
  const start = lines.findIndex((line) => line.trim() !== "");
  return lines.slice(Math.max(start, 0), end + 1);
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { partOf } from "../core/progress.ts";
import { createBarProgress, createLineProgress, createQuietProgress } from "./progress.ts";

function sink(): {
  write: (text: string) => void;
  text: () => string;
  elapsed: () => number;
  tick: (ms: number) => void;
} {
  let text = "";
  let now = 0;
  return { write: (more) => void (text += more), text: () => text, elapsed: () => now, tick: (ms) => void (now += ms) };
}

test("createLineProgress() prints one line at the end of a task, with bytes, time and rate", () => {
  const out = sink();
  const progress = createLineProgress({ ...out, columns: undefined });
  const task = progress.task("Copying blob abc", { unit: "bytes", total: 2000 });
  task.advance(2_000_000);
  out.tick(1000);
  task.done();
  progress.task("Copying blob def").done("skipped: already exists");
  assert.equal(out.text(), "Copying blob abc done 2 MB (1.0s, 2 MB/s)\nCopying blob def skipped: already exists\n");
});

test("createBarProgress() redraws bars below finished lines", () => {
  const out = sink();
  const progress = createBarProgress({ ...out, columns: 100 });
  const task = progress.task("pull", { unit: "bytes", total: 100 });
  out.tick(1000);
  task.advance(50);
  assert.ok(
    out.text().includes("pull [=========>----------] 50 B / 100 B | 50 B/s | 1.0s"),
    JSON.stringify(out.text()),
  );
  task.done();
  progress.close();
  assert.ok(out.text().endsWith("\x1b[Jpull done 50 B (1.0s, 50 B/s)\n"), JSON.stringify(out.text()));
});

test("a passing task is the lowest bar, counts what is part of it, and leaves no line", () => {
  const out = sink();
  const progress = createBarProgress({ ...out, columns: 100 });
  const whole = progress.task("In all", { unit: "bytes", total: 200, passing: true });
  const part = partOf(whole, progress.task("one", { unit: "bytes", total: 100 }));
  out.tick(1000);
  part.advance(50);
  out.tick(1000);
  part.advance(0);
  assert.match(
    out.text(),
    /one \[=.*\] 50 B \/ 100 B \| 25 B\/s \| 2\.0s\nIn all \[=.*\] 50 B \/ 200 B \| 25 B\/s \| 6\.0s\n$/,
  );
  part.done();
  whole.done();
  progress.close();
  assert.ok(out.text().endsWith("\x1b[J"), JSON.stringify(out.text()));
  const lines = createLineProgress({ ...sink(), columns: undefined });
  lines.task("In all", { passing: true }).done();
});

test("createQuietProgress() shows warnings only", () => {
  const out = sink();
  const progress = createQuietProgress({ ...out, columns: undefined });
  progress.say("a");
  progress.task("b").done();
  progress.warn("notice: c");
  assert.equal(out.text(), "notice: c\n");
});

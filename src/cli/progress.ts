/**
 * How long work is shown: bars that redraw on a terminal, one line at the end of each task elsewhere. Everything goes to stderr.
 */
import type { Progress, ProgressTask, TaskOptions } from "../core/progress.ts";
import { formatBytes, formatDuration } from "../core/units.ts";

export interface ProgressSink {
  readonly write: (text: string) => void;
  /** Characters in a line; undefined when it is no terminal. */
  readonly columns: number | undefined;
  /** Monotonic milliseconds. */
  readonly elapsed: () => number;
}

interface TaskState {
  readonly label: string;
  readonly unit: "bytes" | "steps" | undefined;
  readonly startedMs: number;
  readonly passing: boolean;
  total: number | undefined;
  done: number;
}

export interface ClosableProgress extends Progress {
  /** Takes the bars away. */
  close(): void;
}

const REDRAW_MS = 100;
/** Those of more tasks would push what is finished off the screen. */
const BARS = 8;

/** Bars of running tasks stand below the finished lines. */
export function createBarProgress(sink: ProgressSink & { columns: number }): ClosableProgress {
  const running: TaskState[] = [];
  let drawn = 0;
  let lastDrawMs = Number.NEGATIVE_INFINITY;
  const clear = (): string => (drawn > 0 ? `\r\x1b[${drawn}A\x1b[J` : "");
  const draw = (force: boolean, line?: string): void => {
    const now = sink.elapsed();
    if (!force && now - lastDrawMs < REDRAW_MS) return;
    lastDrawMs = now;
    const own = running.filter((task) => !task.passing).slice(-BARS);
    const bars = [...own, ...running.filter((task) => task.passing)].map(
      (task) => `${formatBar(task, sink.columns, now)}\n`,
    );
    sink.write(`${clear()}${line === undefined ? "" : `${line}\n`}${bars.join("")}`);
    drawn = bars.length;
  };
  return {
    task(label, options = {}) {
      const state = newState(label, options, sink.elapsed());
      running.push(state);
      draw(true);
      return handle(
        state,
        () => draw(false),
        (note) => {
          running.splice(running.indexOf(state), 1);
          draw(true, state.passing ? undefined : finalLine(state, note, sink.elapsed()));
        },
      );
    },
    say: (text) => draw(true, text),
    warn: (text) => draw(true, text),
    close() {
      sink.write(clear());
      drawn = 0;
    },
  };
}

/** One line when a task ends; nothing moves. */
export function createLineProgress(sink: ProgressSink): ClosableProgress {
  return {
    task(label, options = {}) {
      const state = newState(label, options, sink.elapsed());
      return handle(
        state,
        () => {},
        (note) => {
          if (!state.passing) sink.write(`${finalLine(state, note, sink.elapsed())}\n`);
        },
      );
    },
    say: (text) => sink.write(`${text}\n`),
    warn: (text) => sink.write(`${text}\n`),
    close() {},
  };
}

/** Warnings only: `--quiet`, `--progress none`. */
export function createQuietProgress(sink: ProgressSink): ClosableProgress {
  return {
    ...createLineProgress(sink),
    task: () => ({ advance() {}, total() {}, done() {} }),
    say() {},
    isQuiet: true,
  };
}

function newState(label: string, options: TaskOptions, startedMs: number): TaskState {
  const { unit, total, passing = false } = options;
  return { label, unit, startedMs, passing, total, done: 0 };
}

function handle(state: TaskState, changed: () => void, ended: (note: string | undefined) => void): ProgressTask {
  let open = true;
  return {
    advance(amount) {
      state.done += amount;
      if (open) changed();
    },
    total(amount) {
      state.total = amount;
      if (open) changed();
    },
    done(note) {
      if (!open) return;
      open = false;
      ended(note);
    },
  };
}

function finalLine(state: TaskState, note: string | undefined, nowMs: number): string {
  if (note !== undefined) return `${state.label} ${note}`;
  const tookMs = nowMs - state.startedMs;
  if (state.unit !== "bytes" || state.done === 0) return `${state.label} done (${formatDuration(tookMs)})`;
  const rate = tookMs >= 50 ? `, ${formatBytes(state.done / (tookMs / 1000))}/s` : "";
  return `${state.label} done ${formatBytes(state.done)} (${formatDuration(tookMs)}${rate})`;
}

function formatBar(task: TaskState, columns: number, nowMs: number): string {
  const tookMs = nowMs - task.startedMs;
  const amount = (value: number): string => (task.unit === "bytes" ? formatBytes(value) : String(value));
  let right = formatDuration(tookMs);
  if (task.total !== undefined && task.total > 0) {
    const share = Math.min(1, task.done / task.total);
    const rate = tookMs > 0 ? (task.done / tookMs) * 1000 : 0;
    const left = rate > 0 ? formatDuration(((task.total - task.done) / rate) * 1000) : "--";
    const filled = Math.round(share * 20);
    const bar = `[${"=".repeat(Math.max(0, filled - 1))}${filled > 0 ? ">" : ""}${"-".repeat(20 - filled)}]`;
    right = `${bar} ${amount(task.done)} / ${amount(task.total)}${task.unit === "bytes" ? ` | ${formatBytes(rate)}/s` : ""} | ${left}`;
  } else if (task.done > 0) {
    right = `${amount(task.done)} ${right}`;
  }
  return `${task.label} ${right}`.slice(0, Math.max(20, columns - 1));
}

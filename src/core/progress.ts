/**
 * Progress: how long work tells what it does. The CLI shows it as bars or lines on stderr, `--progress-fd` as JSON lines,
 * a library caller or a test passes `silent`.
 */

export interface ProgressTask {
  /** More of the total is done (bytes or steps, as the task's `unit` says). */
  advance(amount: number): void;
  /** The total became known late, or changed. */
  total(amount: number): void;
  /** Ends the task; `note` is what replaces the bar, e.g. "skipped: already exists". */
  done(note?: string): void;
}

export interface TaskOptions {
  readonly total?: number;
  readonly unit?: "bytes" | "steps";
  /** A bar that stands below the others and leaves no line behind: what came of it is told otherwise. */
  readonly passing?: boolean;
}

export interface Progress {
  /** Starts one line or bar, e.g. "Copying blob 9ec00da59db2". */
  task(label: string, options?: TaskOptions): ProgressTask;
  /** One line for people, on stderr. */
  say(text: string): void;
  /** Nothing that is said is shown: who would say much need not make it up. */
  readonly isQuiet?: boolean;
  /** A warning: one line on stderr, shown even with --quiet. */
  warn(text: string): void;
}

/** A task whose advances count for `whole`, too. */
export function partOf(whole: ProgressTask, task: ProgressTask): ProgressTask {
  return {
    ...task,
    advance(amount) {
      task.advance(amount);
      whole.advance(amount);
    },
  };
}

const noTask: ProgressTask = { advance() {}, total() {}, done() {} };

export const silent: Progress = { task: () => noTask, say() {}, warn() {} };

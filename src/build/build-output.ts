/** BuildOutput: where a build's lines and its commands' output go. */

export interface BuildOutput {
  /** One line of the build itself. */
  line(text: string): void;
  /** Output of a RUN command. */
  stdout(chunk: Uint8Array): void;
  stderr(chunk: Uint8Array): void;
  /** After a command: an unfinished last line is finished. */
  endOfCommand(): void;
}

export interface OutputSinks {
  /** Standard output. */
  readonly print: (text: string) => void;
  /** Standard error, one line at a time. */
  readonly say: (line: string) => void;
}

/** Bytes become text as they come; characters that a chunk cuts are put together again. */
export function createBuildOutput(sinks: OutputSinks): BuildOutput {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  let openLine = false;
  let errorLine = "";
  return {
    line: (text) => sinks.print(`${text}\n`),
    stdout(chunk) {
      const text = decoders.stdout.decode(chunk, { stream: true });
      if (text === "") return;
      openLine = !text.endsWith("\n");
      sinks.print(text);
    },
    stderr(chunk) {
      const lines = (errorLine + decoders.stderr.decode(chunk, { stream: true })).split("\n");
      errorLine = lines.pop() ?? "";
      for (const line of lines) sinks.say(line);
    },
    endOfCommand() {
      if (errorLine !== "") sinks.say(errorLine);
      if (openLine) sinks.print("\n");
      errorLine = "";
      openLine = false;
    },
  };
}

const TAIL_LINES = 30;

/** For --quiet: nothing is printed, the last lines are kept for the case that a command fails. */
export function createQuietOutput(): BuildOutput & { readonly tail: () => readonly string[] } {
  let lines: string[] = [];
  const keep = (line: string): void => {
    lines = [...lines, line].slice(-TAIL_LINES);
  };
  const inner = createBuildOutput({
    print: (text) =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .forEach(keep),
    say: keep,
  });
  return { ...inner, line() {}, tail: () => lines };
}

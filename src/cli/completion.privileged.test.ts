/** The completion scripts of zsh and fish in these shells. Their questions are tested; that berth answers well, complete.test.ts shows. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TemporaryDirectory } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { formatCompletion } from "./completion-script.ts";

/** Answers to the words up to the cursor. */
const PROGRAM = `#!/bin/sh
shift 3
case "$*" in
  comp) echo completion ;;
  "disk ") printf '%s\\n' host:5000/a host:5000/b ;;
  "disk --type=q") echo --type=qcow2 ;;
  "disk not" | "disk --output=not") echo :files ;;
esac
`;

/** What zsh's completion is told to offer; its own functions work at a terminal only. */
const ZSH = `
cd "$1"; shift
fpath=(. $fpath)
compadd() { print -l -- "\${(@P)argv[-1]}" }
compset() { PREFIX=\${PREFIX#--*=} }
_files() { print -l -- $PREFIX*(N) }
compdef() { functions[answer]="$1" }
words=("$@") CURRENT=$# PREFIX=$argv[-1]
`;

const host = createLinuxHost();
let directory: TemporaryDirectory;
const at = (name: string): string => `${directory.path}/${name}`;

before(() => {
  directory = host.files.temporaryDirectory(`${SCRATCH}/berth-completion-`);
  host.files.write(at("berth"), PROGRAM, { mode: 0o755 });
  host.files.write(at("notes.txt"), "");
  host.files.write(at("_berth"), formatCompletion("zsh"));
  host.files.write(at("berth.fish"), formatCompletion("fish"));
});
after(() => directory[Symbol.dispose]());

async function lines(...argv: string[]): Promise<string[]> {
  const { stdout } = await host.exec(argv, { timeoutMs: 30_000 });
  return stdout.toString().trim().split("\n");
}

for (const [words, zsh, fish = zsh] of [
  [["comp"], ["completion"]],
  [
    ["disk", ""],
    ["host:5000/a", "host:5000/b"],
  ],
  [["disk", "--type=q"], ["--type=qcow2"]],
  [["disk", "not"], ["notes.txt"]],
  [["disk", "--output=not"], ["notes.txt"], ["--output=notes.txt"]],
] as const) {
  const line = words.join(" ");
  const inZsh = (script: string): Promise<string[]> =>
    lines("zsh", "-fc", `${ZSH}${script}`, "zsh", directory.path, "./berth", ...words);

  test(`zsh offers what follows "berth ${line}", from the first Tab`, async () =>
    assert.deepEqual(await inZsh("autoload -Uz _berth; _berth"), zsh));
  test(`zsh offers what follows "berth ${line}" when it has sourced the script`, async () =>
    assert.deepEqual(await inZsh("source ./_berth; answer"), zsh));
  test(`fish offers what follows "berth ${line}"`, async () => {
    const script = `cd ${directory.path}; set PATH . $PATH; source berth.fish; complete -C "$argv"`;
    assert.deepEqual(await lines("fish", "-N", "-c", script, `berth ${line}`), fish);
  });
}

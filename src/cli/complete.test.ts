import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { createLinuxHost } from "../host/linux.ts";
import { addFixtureImage } from "../store/testing.ts";
import { openWorkstationStore } from "../store/workstation.ts";
import { formatVmSpec } from "../vm/spec.ts";
import { commands } from "./commands.ts";
import { formatCompletion } from "./completion-script.ts";
import { runWords } from "./testing.ts";

/** The cursor stands at the end. */
async function offered(line: string, host = createFakeHost()): Promise<string[]> {
  const printed = await runWords(host, commands, ["internal", "complete", "--", ...line.split(" ")]);
  assert.equal(printed.status, 0, printed.err);
  return printed.out.split("\n").filter((word) => word !== "");
}

const table: readonly (readonly [line: string, wanted: readonly string[]])[] = [
  ["pu", ["push", "pull"]],
  ["--no-install pu", ["push", "pull"]],
  ["help pu", ["push", "pull"]],
  ["registry us", ["user"]],
  ["registry user ", ["add", "list", "passwd", "remove", "--help"]],
  ["--no-install base build --su", ["--suite"]],
  ["base build --suite ", ["bookworm", "trixie"]],
  ["base build --suite=t", ["--suite=trixie"]],
  ["disk os --ty", ["--type"]],
  ["disk os --type raw --user x --kar", ["--karg"]],
  ["disk --type ", ["raw", "qcow2"]],
  ["disk -o ", [":files"]],
  ["disk --size ", []],
  ["build ", [":files"]],
  ["build -f ", [":files"]],
  ["composefs dump ", [":files"]],
  ["completion ", ["bash", "zsh", "fish"]],
  ["completion bash ", []],
  ["status --json --format y", ["yaml"]],
  ["run --rm img --na", [":files"]],
  ["internal ", ["--help"]],
  ["nosuch ", ["--help"]],
];
for (const [line, wanted] of table) {
  test(`after "berth ${line}" the shell may offer ${wanted.join(" ") || "nothing"}`, async () => {
    const found = await offered(line);
    // Sorted as the table of commands is, which is not what this is about.
    assert.deepEqual(found.toSorted(), [...wanted].sort());
  });
}

test("names of images and machines are offered, and nothing where the user may not look", async () => {
  const spec = {
    name: "web",
    memoryMib: 512,
    cpus: 1,
    firmware: "bios",
    kernel: undefined,
    accelerator: "tcg",
  } as const;
  const description = formatVmSpec({ ...spec, ports: [], throwAway: false, disks: [] });
  const host = createFakeHost({ files: { "/run/berth/vm/web/vm.json": description } });
  {
    using store = openWorkstationStore(host);
    await addFixtureImage(store, [], "registry.example.com:5000/os:12");
  }
  for (const line of ["push registry.example.com:", "run --rm regi", "disk --source reg", "rmi x "])
    assert.deepEqual(await offered(line, host), ["registry.example.com:5000/os:12"], line);
  assert.deepEqual(await offered("push other", host), []);
  assert.deepEqual(await offered("vm ssh ", host), ["web"]);
  assert.deepEqual(await offered("stop ", host), []);
  assert.deepEqual(await offered("push ", createFakeHost({ env: { BERTH_STORE: "relative" } })), []);
});

test("bash: the script asks with the words as typed, and offers what comes after the last colon", async () => {
  const host = createLinuxHost();
  const ask = async (line: string, words: readonly string[], answer: string): Promise<string> => {
    const program = `${formatCompletion("bash")}
      berth() { printf '<%s>' "$@" >&2; printf '${answer}'; }
      compopt() { :; }
      COMP_LINE=$1 COMP_POINT=\${#1}; shift
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_WORDBREAKS=$' "=:'
      exec 2>&1
      _berth berth
      printf '%s|' "\${COMPREPLY[@]}"`;
    // The script hides what the program says; the test needs it.
    const shown = program.replace("2>/dev/null", "");
    return (await host.exec(["bash", "-c", shown, "bash", line, ...words], { timeoutMs: 10_000 })).stdout.toString();
  };
  assert.equal(
    await ask("berth push host:50", ["berth", "push", "host", ":", "50"], "host:5000/a:1\\nhost:5000/b\\n"),
    "<internal><complete><--><push><host:50>5000/a:1|5000/b|",
  );
  assert.equal(await ask("berth ", ["berth", ""], "push\\n"), "<internal><complete><--><>push|");
  assert.equal(
    await ask("berth build /etc/host", ["berth", "build", "/etc/hostn"], ":files\\n"),
    "<internal><complete><--><build></etc/host>/etc/hostname|",
  );
});

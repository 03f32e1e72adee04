/** Help texts and the man page, from the table of commands. Pure. */
import type { Command, Flag } from "./command.ts";
import { allFlags } from "./parse.ts";

const GROUPS: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Start here", ["tour"]],
  [
    "Build images",
    [
      "base build",
      "build",
      "images",
      "history",
      "tag",
      "rmi",
      "image import",
      "image export",
      "containerfile check",
      "container lint",
    ],
  ],
  ["Run them as containers", ["run", "ps", "exec", "logs", "stop", "kill", "rm", "inspect"]],
  [
    "Registry",
    ["registry init", "registry serve", "login", "logout", "push", "pull", "sign", "verify", "generate-key-pair"],
  ],
  ["Deploy", ["disk", "vm run", "vm list", "vm ssh", "vm console", "vm stop", "vm wait", "vm snapshot", "vm restore"]],
  ["On the machine", ["status", "upgrade", "switch", "rollback", "usr-overlay"]],
];

/** What `berth --help` prints. */
export function formatOverview(commands: readonly Command[]): string {
  const shown = commands.filter((command) => !command.hidden);
  const width = Math.max(...shown.map((command) => command.name.length)) + 2;
  const line = (command: Command): string => `  ${command.name.padEnd(width)}${command.summary}`;
  const grouped = new Set(GROUPS.flatMap(([, names]) => names));
  const sections = GROUPS.map(([title, names]) => [
    `${title}:`,
    ...names.flatMap((name) => shown.filter((command) => command.name === name).map(line)),
    "",
  ]).filter((section) => section.length > 2);
  const others = shown.filter((command) => !grouped.has(command.name));
  if (others.length > 0) sections.push(["More:", ...others.map(line), ""]);
  return [
    "berth takes a Linux system from a Containerfile to machines in service.",
    "",
    "Usage: berth COMMAND [FLAGS] [ARGUMENTS]",
    "",
    ...sections.flat(),
    "berth COMMAND --help explains one command.",
    "",
  ].join("\n");
}

/** What `berth GROUP --help` prints, e.g. for `berth registry`. undefined when no command is in it. */
export function formatGroup(commands: readonly Command[], group: string): string | undefined {
  const members = commands.filter((command) => !command.hidden && command.name.startsWith(`${group} `));
  if (members.length === 0) return undefined;
  const width = Math.max(...members.map((command) => command.name.length)) + 2;
  return [
    `Usage: berth ${group} COMMAND`,
    "",
    ...members.map((command) => `  ${command.name.padEnd(width)}${command.summary}`),
    "",
  ].join("\n");
}

/** What `berth COMMAND --help` prints. */
export function formatCommandHelp(command: Command): string {
  const lines = [`${command.summary}.`, "", `Usage: berth ${formatSynopsis(command)}`];
  if (command.aliases?.length) lines.push(`Also:  ${command.aliases.map((alias) => `berth ${alias}`).join(", ")}`);
  if (command.description) lines.push("", command.description.trim());
  if (command.operands?.length) {
    lines.push("", "Arguments:", ...columns(command.operands.map((operand) => [operand.name, operand.summary])));
  }
  const flags = Object.entries(allFlags(command)).filter(([, flag]) => !flag.hidden);
  lines.push("", "Flags:", ...columns(flags.map(([name, flag]) => [formatFlag(name, flag), flagSummary(flag)])));
  if (command.examples?.length) {
    lines.push("", "Examples:", ...command.examples.flatMap(([example, what]) => [`  ${example}`, `      ${what}`]));
  }
  return `${lines.join("\n")}\n`;
}

/** `berth(1)` as man(7) source. */
export function formatManPage(commands: readonly Command[], version: string): string {
  const shown = commands.filter((command) => !command.hidden);
  const lines = [
    `.TH BERTH 1 "" "berth ${version}" "User Commands"`,
    ".SH NAME",
    "berth \\- build, deploy and manage Linux systems as OCI images",
    ".SH SYNOPSIS",
    ".B berth\n.I COMMAND\n[FLAGS] [ARGUMENTS]",
    ".SH DESCRIPTION",
    "berth takes a Linux system from a Containerfile to machines in service: it builds a bootable image, keeps it in a",
    "registry, deploys it to disks and virtual machines, and manages the machines with transactional upgrade, rollback and switch.",
    ".SH COMMANDS",
  ];
  for (const command of shown) {
    lines.push(".SS", roff(`berth ${formatSynopsis(command)}`), `${roff(command.summary)}.`);
    if (command.description) lines.push(".PP", roff(command.description.trim()));
    for (const [name, flag] of Object.entries(allFlags(command)).filter(([, entry]) => !entry.hidden)) {
      lines.push(".TP", `.B ${roff(formatFlag(name, flag).trim())}`, roff(flagSummary(flag)));
    }
    for (const [example, what] of command.examples ?? [])
      lines.push(".PP", `${roff(what)}:`, ".RS", roff(example), ".RE");
  }
  lines.push(
    ".SH EXIT STATUS",
    "0 done; 1 failure; 2 usage; 70 a bug of berth; 129, 130, 143 ended by SIGHUP, Ctrl-C, SIGTERM. \\fBberth run\\fR passes on the container's.",
    ".SH SEE ALSO",
    "bootc(8), podman(1), systemd-boot(7)",
  );
  return `${lines.join("\n")}\n`;
}

function formatSynopsis(command: Command): string {
  const operands = (command.operands ?? []).map((operand) => {
    const name = operand.many ? `${operand.name}...` : operand.name;
    return operand.optional ? `[${name}]` : name;
  });
  return [command.name, "[FLAGS]", ...operands].join(" ");
}

function formatFlag(name: string, flag: Flag): string {
  const long = flag.type === "boolean" ? `--${name}` : `--${name} ${flag.value ?? "TEXT"}`;
  return flag.short === undefined ? `    ${long}` : `-${flag.short}, ${long}`;
}

function flagSummary(flag: Flag): string {
  const extra = [
    ...(flag.choices ? [flag.choices.join(", ")] : []),
    ...(flag.default !== undefined && flag.default !== false ? [`default ${flag.default}`] : []),
    ...(flag.type === "list" ? ["may be repeated"] : []),
  ];
  return extra.length > 0 ? `${flag.summary} (${extra.join("; ")})` : flag.summary;
}

function columns(rows: readonly (readonly [left: string, right: string])[]): string[] {
  const width = Math.min(34, Math.max(...rows.map(([left]) => left.length)) + 2);
  return rows.map(([left, right]) =>
    left.length + 2 > width ? `  ${left}\n  ${" ".repeat(width)}${right}` : `  ${left.padEnd(width)}${right}`,
  );
}

function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}

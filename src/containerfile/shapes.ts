/**
 * SHAPES: for each instruction its flags and how its arguments are read.
 */
import { ContainerfileError } from "./containerfile-error.ts";
import { parseDuration } from "./duration.ts";
import type { FlagWords, KnownFlags } from "./flags.ts";
import { parseOpening } from "./heredoc.ts";
import type { CommandLine, CopySource, InstructionBody, InstructionName, Pair } from "./instruction.ts";
import { errorAt, type LogicalLine } from "./logical-line.ts";
import { parseMountOption } from "./mount-option.ts";
import { suggest } from "../core/suggest.ts";
import { parseWord, WordError, wordText } from "./word-expansion.ts";
import { parseJsonForm, restOf, splitBlanks, splitQuoted, type Word } from "./words.ts";

export interface ShapeContext {
  readonly line: LogicalLine;
  readonly escape: string;
  readonly name: InstructionName;
  readonly flags: FlagWords;
  /** All after the flags. */
  readonly rest: Word;
}

export interface ReadInstruction {
  readonly body: InstructionBody;
  readonly args: readonly string[];
}

export interface Shape {
  readonly flags: KnownFlags;
  /** Throws ContainerfileError. */
  readonly read: (context: ShapeContext) => ReadInstruction;
}

const COPY_FLAGS: KnownFlags = { chown: "text", chmod: "text", link: "boolean", exclude: "list" };

export const SHAPES: Readonly<Record<Exclude<InstructionName, "ONBUILD">, Shape>> = {
  FROM: { flags: { platform: "text", after: "list" }, read: readFrom },
  ARG: { flags: {}, read: readArg },
  RUN: { flags: { mount: "list", network: "text", security: "text", device: "list" }, read: readRun },
  CMD: { flags: {}, read: (context) => readCommand(context, "cmd") },
  ENTRYPOINT: { flags: {}, read: (context) => readCommand(context, "entrypoint") },
  SHELL: { flags: {}, read: readShell },
  COPY: { flags: { from: "text", ...COPY_FLAGS, parents: "boolean" }, read: (context) => readCopy(context, "copy") },
  ADD: {
    flags: { ...COPY_FLAGS, checksum: "text", "keep-git-dir": "boolean", unpack: "boolean" },
    read: (context) => readCopy(context, "add"),
  },
  ENV: { flags: {}, read: (context) => readPairs(context, "env") },
  LABEL: { flags: {}, read: (context) => readPairs(context, "label") },
  EXPOSE: { flags: {}, read: (context) => readWordList(context, "expose") },
  VOLUME: { flags: {}, read: (context) => readWordList(context, "volume") },
  USER: { flags: {}, read: (context) => readOneWord(context, "user") },
  WORKDIR: { flags: {}, read: (context) => readOneWord(context, "workdir") },
  STOPSIGNAL: { flags: {}, read: (context) => readOneWord(context, "stopsignal") },
  MAINTAINER: { flags: {}, read: (context) => readOneWord(context, "maintainer") },
  HEALTHCHECK: {
    flags: { interval: "text", timeout: "text", "start-period": "text", "start-interval": "text", retries: "text" },
    read: readHealthcheck,
  },
};

function fail(context: ShapeContext, message: string, offset = 0, hint?: string): ContainerfileError {
  return errorAt(context.line, message, offset, hint);
}

/** Finds the syntax errors of a word that will be expanded later; gives back the word. */
function checked(context: ShapeContext, word: Word): Word {
  try {
    parseWord(word.text, { escape: context.escape });
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    throw fail(context, `${error.message} in ${JSON.stringify(word.text.slice(0, 80))}`, word.offset + error.offset);
  }
  return word;
}

/** The text of a word that holds no variable; undefined when its value is known only later. */
function fixedText(context: ShapeContext, word: Word): string | undefined {
  return wordText(parseWord(checked(context, word).text, { escape: context.escape }));
}

function checkedFlag(context: ShapeContext, name: string): Word | undefined {
  const word = context.flags.one(name);
  return word === undefined ? undefined : checked(context, word);
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function readFrom(context: ShapeContext): ReadInstruction {
  const words = splitBlanks(context.line.text.slice(0, context.rest.offset + context.rest.text.length), context.rest.offset);
  const [image, as, name] = words;
  if (image === undefined) throw fail(context, "FROM requires an image", 0);
  if (words.length !== 1 && words.length !== 3) throw fail(context, "FROM requires one argument, or IMAGE AS NAME", words[1]?.offset);
  if (as !== undefined && as.text.toUpperCase() !== "AS") {
    throw fail(context, `FROM wants AS, not ${JSON.stringify(as.text)}, before the stage's name`, as.offset);
  }
  const stageName = name?.text.toLowerCase();
  if (name !== undefined && !STAGE_NAME.test(stageName ?? "")) {
    const hint = "wanted a letter, then letters, digits, - _ or .";
    throw fail(context, `invalid stage name ${JSON.stringify(name.text)}`, name.offset, hint);
  }
  const platform = checkedFlag(context, "platform");
  const body: InstructionBody = { kind: "from", image: checked(context, image), stageName, platform };
  return { body, args: words.map((word) => word.text) };
}

const NAME = /^[^\s=$"'\\]+$/;

function readArg(context: ShapeContext): ReadInstruction {
  const words = splitQuoted(context.line.text, context.escape, context.rest.offset);
  if (words.length === 0) throw fail(context, "ARG requires at least one argument");
  const found = words.map((word) => {
    const equals = word.text.indexOf("=");
    const name = equals < 0 ? word.text : word.text.slice(0, equals);
    if (!NAME.test(name)) throw fail(context, name === "" ? "ARG names can not be blank" : `invalid ARG name ${JSON.stringify(name)}`, word.offset);
    const value = equals < 0 ? undefined : checked(context, { text: word.text.slice(equals + 1), offset: word.offset + equals + 1 });
    return { name, value };
  });
  return { body: { kind: "arg", arguments: found }, args: words.map((word) => word.text) };
}

/** Exec form, or all the rest as one text. */
function readCommandLine(context: ShapeContext, rest: Word): CommandLine {
  const json = parseJsonForm(rest.text);
  if (json.kind === "not-strings") throw fail(context, "the exec form holds only strings", rest.offset, 'write e.g. ["program", "1"]');
  return json.kind === "array" ? { form: "exec", argv: json.values } : { form: "shell", text: rest.text };
}

function commandArgs(command: CommandLine): readonly string[] {
  return command.form === "exec" ? command.argv : command.text === "" ? [] : [command.text];
}

const NETWORKS = ["default", "none", "host"] as const;
const SECURITIES = ["sandbox", "insecure"] as const;

function readRun(context: ShapeContext): ReadInstruction {
  const { flags, rest, line } = context;
  if (rest.text === "") throw fail(context, "RUN requires at least one argument");
  const command = readCommandLine(context, rest);
  if (command.form === "exec" && command.argv.length === 0) throw fail(context, "RUN requires at least one argument", rest.offset);
  const choice = <T extends string>(name: string, choices: readonly T[], usual: T): T => {
    const word = flags.one(name);
    if (word === undefined) return usual;
    const found = choices.find((known) => known === word.text);
    if (found !== undefined) return found;
    const near = suggest(word.text, choices);
    const hint = near === undefined ? `wanted ${choices.join(", ")}` : `did you mean ${near}?`;
    throw fail(context, `unknown ${name} ${JSON.stringify(word.text)}`, word.offset, hint);
  };
  const body: InstructionBody = {
    kind: "run",
    command,
    heredocs: line.heredocs,
    mounts: flags.all("mount").map((word) => parseMountOption(line, checked(context, word))),
    network: choice("network", NETWORKS, "default"),
    security: choice("security", SECURITIES, "sandbox"),
    devices: flags.all("device"),
  };
  return { body, args: commandArgs(command) };
}

function readCommand(context: ShapeContext, kind: "cmd" | "entrypoint"): ReadInstruction {
  const command = readCommandLine(context, context.rest);
  return { body: { kind, command }, args: commandArgs(command) };
}

function readShell(context: ShapeContext): ReadInstruction {
  const command = readCommandLine(context, context.rest);
  if (command.form !== "exec") throw fail(context, "SHELL requires the arguments to be in JSON form", context.rest.offset);
  if (command.argv.length === 0) throw fail(context, "SHELL requires at least one argument", context.rest.offset);
  return { body: { kind: "shell", argv: command.argv }, args: command.argv };
}

const CHMOD = /^(?:[0-7]{1,4}|[ugoa]*[-+=][rwxXstugo]*(?:,[ugoa]*[-+=][rwxXstugo]*)*)$/;

function readCopy(context: ShapeContext, kind: "copy" | "add"): ReadInstruction {
  const { flags, line } = context;
  const words = jsonOrWords(context).map((word) => checked(context, word));
  const name = context.name;
  if (words.length === 0) throw fail(context, `${name} requires at least two arguments`);
  const target = words.at(-1);
  if (words.length === 1 || target === undefined) {
    throw fail(context, `${name} requires at least two arguments, but only one was provided: the destination is missing`, words[0]?.offset);
  }
  const heredocs = [...line.heredocs];
  const sources = words.slice(0, -1).map((word): CopySource => {
    const opened = heredocs.length > 0 && parseOpening(word, context.escape) !== undefined;
    const heredoc = opened ? heredocs.shift() : undefined;
    return heredoc === undefined ? { kind: "path", word } : { kind: "heredoc", heredoc };
  });
  if (heredocs.length > 0) throw fail(context, `${name} wants a destination after its heredocs`, target.offset);
  const chmod = checkedFlag(context, "chmod");
  if (chmod !== undefined && !CHMOD.test(fixedText(context, chmod) ?? "0")) {
    throw fail(context, `invalid --chmod ${JSON.stringify(chmod.text)}`, chmod.offset, "wanted an octal mode such as 0644, or e.g. u=rwX,go=rX");
  }
  const checksum = checkedFlag(context, "checksum");
  const checksumText = checksum && fixedText(context, checksum);
  if (checksum !== undefined && checksumText !== undefined && !/^(?:[a-z0-9]+:)?[0-9a-f]{7,128}$/.test(checksumText)) {
    throw fail(context, `invalid --checksum ${JSON.stringify(checksum.text)}`, checksum.offset, "wanted sha256:<64 hex>");
  }
  const from = checkedFlag(context, "from");
  if (from !== undefined && from.text === "") throw fail(context, "flag --from of COPY needs a value", from.offset);
  if (from !== undefined && sources.some((source) => source.kind === "heredoc")) {
    throw fail(context, "COPY --from takes no heredoc", from.offset);
  }
  const body: InstructionBody = {
    kind,
    sources,
    target,
    from,
    chown: checkedFlag(context, "chown"),
    chmod,
    checksum,
    exclude: flags.all("exclude").map((word) => checked(context, word)),
    link: flags.flag("link") ?? false,
    parents: flags.flag("parents") ?? false,
    keepGitDir: flags.flag("keep-git-dir") ?? false,
    unpack: flags.flag("unpack"),
  };
  return { body, args: words.map((word) => word.text) };
}

function jsonOrWords(context: ShapeContext): readonly Word[] {
  const { rest, line } = context;
  const json = parseJsonForm(rest.text);
  if (json.kind === "not-strings") throw fail(context, "the JSON form holds only strings", rest.offset);
  if (json.kind === "array") return json.values.map((text) => ({ text, offset: rest.offset }));
  return splitBlanks(line.text, rest.offset);
}

function readPairs(context: ShapeContext, kind: "env" | "label"): ReadInstruction {
  const { name, rest } = context;
  const words = splitQuoted(context.line.text, context.escape, rest.offset);
  const first = words[0];
  if (first === undefined) throw fail(context, `${name} requires at least one argument`);
  if (!first.text.includes("=")) {
    const end = first.offset + first.text.length;
    const value = restOf(context.line.text, end);
    if (value.text === "") throw fail(context, `${name} must have two arguments`, first.offset, `write ${name} ${first.text}=value`);
    const pair: Pair = { name: checked(context, first), value: checked(context, value) };
    return { body: { kind, pairs: [pair] }, args: [first.text, value.text] };
  }
  const pairs = words.map((word): Pair => {
    const equals = word.text.indexOf("=");
    if (equals < 0) {
      throw fail(context, `can't find = in ${JSON.stringify(word.text)}`, word.offset, "a value with blanks needs quotes: name=\"a b\"");
    }
    if (equals === 0) throw fail(context, `${name} names can not be blank`, word.offset);
    return {
      name: checked(context, { text: word.text.slice(0, equals), offset: word.offset }),
      value: checked(context, { text: word.text.slice(equals + 1), offset: word.offset + equals + 1 }),
    };
  });
  return { body: { kind, pairs }, args: words.map((word) => word.text) };
}

const PORT = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i;

function readWordList(context: ShapeContext, kind: "expose" | "volume"): ReadInstruction {
  const words = kind === "volume" ? jsonOrWords(context) : splitBlanks(context.line.text, context.rest.offset);
  if (words.length === 0) throw fail(context, `${context.name} requires at least one argument`);
  for (const word of words) {
    const text = fixedText(context, word);
    if (text === undefined) continue;
    if (kind === "volume" && text.trim() === "") throw fail(context, "VOLUME specified can not be an empty string", word.offset);
    if (kind === "expose" && expandPorts(text) === undefined) {
      throw fail(context, `invalid port ${JSON.stringify(text)}`, word.offset, "wanted PORT[-PORT][/tcp|udp|sctp], ports 1 to 65535");
    }
  }
  return { body: { kind, words }, args: words.map((word) => word.text) };
}

/** `8000-8002/udp` → its keys of ExposedPorts; undefined when it is no port. */
export function expandPorts(text: string): string[] | undefined {
  const match = PORT.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > 65535 || last < first) return undefined;
  const protocol = (match[3] ?? "tcp").toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol}`);
}

function readOneWord(context: ShapeContext, kind: "user" | "workdir" | "stopsignal" | "maintainer"): ReadInstruction {
  const { rest } = context;
  if (rest.text === "") throw fail(context, `${context.name} requires exactly one argument`);
  const word = kind === "maintainer" ? rest : checked(context, rest);
  if (kind === "stopsignal") {
    const text = fixedText(context, word);
    if (text !== undefined && !/^(?:(?:SIG)?[A-Z][A-Z0-9]*(?:[-+][0-9]+)?|[0-9]{1,2})$/i.test(text)) {
      throw fail(context, `invalid signal ${JSON.stringify(text)}`, word.offset, "wanted a name such as SIGTERM, or a number");
    }
  }
  return { body: { kind, word }, args: [rest.text] };
}

function readHealthcheck(context: ShapeContext): ReadInstruction {
  const { rest, flags, line } = context;
  const word = /^[^\t\v\f\r ]+/.exec(rest.text)?.[0] ?? "";
  if (word === "") throw fail(context, "HEALTHCHECK requires at least one argument", 0, "write HEALTHCHECK CMD command, or HEALTHCHECK NONE");
  const after = restOf(line.text, rest.offset + word.length);
  if (word.toUpperCase() === "NONE") {
    if (after.text !== "") throw fail(context, "HEALTHCHECK NONE takes no arguments", after.offset);
    if (flags.words.length > 0) throw fail(context, "HEALTHCHECK NONE takes no flags");
    return { body: { kind: "healthcheck", command: undefined }, args: ["NONE"] };
  }
  if (word.toUpperCase() !== "CMD") {
    throw fail(context, `unknown type ${JSON.stringify(word)} of HEALTHCHECK`, rest.offset, "wanted CMD or NONE");
  }
  if (after.text === "") throw fail(context, "HEALTHCHECK CMD misses its command", rest.offset);
  const command = readCommandLine(context, after);
  const duration = (name: string): number | undefined => {
    const given = flags.one(name);
    if (given === undefined) return undefined;
    const value = parseDuration(given.text);
    if (value === undefined || (value !== 0 && value < 1)) {
      throw fail(context, `invalid --${name} ${JSON.stringify(given.text)}`, given.offset, "wanted a duration of at least 1ms, e.g. 30s or 1m30s");
    }
    return value;
  };
  const retries = flags.one("retries");
  if (retries !== undefined && !/^[0-9]+$/.test(retries.text)) {
    throw fail(context, `invalid --retries ${JSON.stringify(retries.text)}, wanted a number`, retries.offset);
  }
  const body: InstructionBody = {
    kind: "healthcheck",
    command,
    intervalMs: duration("interval"),
    timeoutMs: duration("timeout"),
    startPeriodMs: duration("start-period"),
    startIntervalMs: duration("start-interval"),
    retries: retries && Number(retries.text),
  };
  return { body, args: ["CMD", ...commandArgs(command)] };
}

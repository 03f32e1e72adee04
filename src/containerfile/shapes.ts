/**
 * SHAPES: for each instruction its flags and how its arguments are read.
 */
import { suggest } from "../core/suggest.ts";
import type { KnownFlags } from "./flags.ts";
import type { InstructionBody, InstructionName, Pair } from "./instruction.ts";
import { parseMountOption } from "./mount-option.ts";
import {
  checked,
  checkedFlag,
  commandArgs,
  fail,
  fixedText,
  jsonOrWords,
  type ReadInstruction,
  readCommandLine,
  type ShapeContext,
} from "./shape-context.ts";
import { readCopy } from "./shape-copy.ts";
import { readHealthcheck } from "./shape-healthcheck.ts";
import { restOf, splitBlanks, splitQuoted } from "./words.ts";

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

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function readFrom(context: ShapeContext): ReadInstruction {
  const words = splitBlanks(
    context.line.text.slice(0, context.rest.offset + context.rest.text.length),
    context.rest.offset,
  );
  const [image, as, name] = words;
  if (image === undefined) throw fail(context, "FROM requires an image", 0);
  if (words.length !== 1 && words.length !== 3)
    throw fail(context, "FROM requires one argument, or IMAGE AS NAME", words[1]?.offset);
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
    if (!NAME.test(name))
      throw fail(
        context,
        name === "" ? "ARG names can not be blank" : `invalid ARG name ${JSON.stringify(name)}`,
        word.offset,
      );
    const value =
      equals < 0
        ? undefined
        : checked(context, { text: word.text.slice(equals + 1), offset: word.offset + equals + 1 });
    return { name, value };
  });
  return { body: { kind: "arg", arguments: found }, args: words.map((word) => word.text) };
}

const NETWORKS = ["default", "none", "host"] as const;
const SECURITIES = ["sandbox", "insecure"] as const;

function readRun(context: ShapeContext): ReadInstruction {
  const { flags, rest, line } = context;
  if (rest.text === "") throw fail(context, "RUN requires at least one argument");
  const command = readCommandLine(context, rest);
  if (command.form === "exec" && command.argv.length === 0)
    throw fail(context, "RUN requires at least one argument", rest.offset);
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
  if (command.form !== "exec")
    throw fail(context, "SHELL requires the arguments to be in JSON form", context.rest.offset);
  if (command.argv.length === 0) throw fail(context, "SHELL requires at least one argument", context.rest.offset);
  return { body: { kind: "shell", argv: command.argv }, args: command.argv };
}

function readPairs(context: ShapeContext, kind: "env" | "label"): ReadInstruction {
  const { name, rest } = context;
  const words = splitQuoted(context.line.text, context.escape, rest.offset);
  const first = words[0];
  if (first === undefined) throw fail(context, `${name} requires at least one argument`);
  if (!first.text.includes("=")) {
    const end = first.offset + first.text.length;
    const value = restOf(context.line.text, end);
    if (value.text === "")
      throw fail(context, `${name} must have two arguments`, first.offset, `write ${name} ${first.text}=value`);
    const pair: Pair = { name: checked(context, first), value: checked(context, value) };
    return { body: { kind, pairs: [pair] }, args: [first.text, value.text] };
  }
  const pairs = words.map((word): Pair => {
    const equals = word.text.indexOf("=");
    if (equals < 0) {
      throw fail(
        context,
        `can't find = in ${JSON.stringify(word.text)}`,
        word.offset,
        'a value with blanks needs quotes: name="a b"',
      );
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
    if (kind === "volume" && text.trim() === "")
      throw fail(context, "VOLUME specified can not be an empty string", word.offset);
    if (kind === "expose" && expandPorts(text) === undefined) {
      throw fail(
        context,
        `invalid port ${JSON.stringify(text)}`,
        word.offset,
        "wanted PORT[-PORT][/tcp|udp|sctp], ports 1 to 65535",
      );
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
      throw fail(
        context,
        `invalid signal ${JSON.stringify(text)}`,
        word.offset,
        "wanted a name such as SIGTERM, or a number",
      );
    }
  }
  return { body: { kind, word }, args: [rest.text] };
}

/**
 * readRequest(): the command line's words, the Containerfile and the environment → BuildRequest and the build context.
 *
 * @see Dockerfile reference, ".dockerignore file"; podman-build(1)
 */
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { ContainerfileError } from "../containerfile/containerfile-error.ts";
import { createIgnoreRules, type IgnoreRules, parseIgnoreFile } from "../containerfile/ignore.ts";
import { readContainerfile } from "../containerfile/stages.ts";
import type { Files, Host } from "../host/host.ts";
import { formatImageRef, parseImageRef } from "../oci/reference.ts";
import { type BuildRequest, PROXY_NAMES, type SecretSource } from "./build-request.ts";
import type { SourceTree } from "./source-tree.ts";

/** As the flags give them. */
export interface BuildWords {
  readonly contextDirectory: string;
  readonly file: string | undefined;
  readonly buildArgs: readonly string[];
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
  readonly secrets: readonly string[];
  readonly target: string | undefined;
  readonly network: string;
  readonly ignoreFile: string | undefined;
  readonly sourceDateEpoch: string | undefined;
}

export interface ReadRequest {
  readonly request: BuildRequest;
  readonly context: SourceTree;
}

/** Failure "not-found" or "usage"; ContainerfileError for what the file says. */
export async function readRequest(
  host: Host,
  words: BuildWords,
  readStdin: () => Promise<string>,
): Promise<ReadRequest> {
  const { files } = host;
  const directory = contextDirectory(files, words.contextDirectory);
  const found = findContainerfile(files, directory, words.file);
  const text = found === undefined ? await readStdin() : files.readText(found.path);
  const request: BuildRequest = {
    fileName: found?.name ?? "-",
    file: readContainerfile(text),
    buildArgs: pairs(words.buildArgs, "--build-arg", (name) => host.env[name]),
    target: words.target,
    labels: pairs(words.labels, "--label", () => ""),
    annotations: pairs(words.annotations, "--annotation", () => undefined),
    network: words.network === "host" || words.network === "none" ? words.network : "private",
    secrets: new Map(words.secrets.map((secret) => readSecret(host, secret))),
    proxies: new Map(
      PROXY_NAMES.flatMap((name) => [[name, host.env[name]] as const]).flatMap(([name, value]) =>
        value ? [[name, value] as const] : [],
      ),
    ),
    architecture: host.architecture,
    epochSec: readEpoch(words.sourceDateEpoch ?? host.env["SOURCE_DATE_EPOCH"]),
  };
  const proxies = new Map([
    ...request.proxies,
    ...[...request.buildArgs].filter(([name]) => PROXY_NAMES.includes(name)),
  ]);
  const rules = findIgnoreRules(files, directory, found?.path, words.ignoreFile);
  return {
    request: { ...request, proxies },
    context: { root: directory, rules, isImage: false, title: `build context "${words.contextDirectory}"` },
  };
}

/** `-t web` means localhost/web:latest. Failure "usage" for anything that is no name. */
export function readImageName(text: string): string {
  const slash = text.indexOf("/");
  const host = slash < 0 ? "" : text.slice(0, slash);
  const full = host === "localhost" || /[.:]/.test(host) ? text : `localhost/${text}`;
  try {
    const ref = parseImageRef(full);
    if (ref.digest !== undefined) throw new SyntaxError("a digest can not be chosen");
    return formatImageRef(ref);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Failure("usage", `Cannot name the image "${text}"`, { cause: error });
  }
}

/** The Containerfile's error as one line; the excerpt goes before it. */
export function asBuildFailure(fileName: string, error: ContainerfileError): Failure {
  const options = error.hint === undefined ? {} : { hint: error.hint };
  return new Failure(
    "bad-input",
    `Cannot build "${fileName}": line ${error.line}, column ${error.column}: ${error.message}`,
    options,
  );
}

function contextDirectory(files: Files, text: string): string {
  if (/^(?:https?|git|ssh):\/\//.test(text)) {
    throw new Failure("unsupported", `Cannot build "${text}": a context from the network is not supported`, {
      hint: "fetch it first and give the directory",
    });
  }
  const path = textToByteName(text);
  const kind = files.stat(path)?.kind;
  if (kind === "directory") return files.realpath(path);
  const state = kind === undefined ? "there is no such directory" : "it is not a directory";
  throw new Failure("not-found", `Cannot build in context "${text}": ${state}`);
}

/** undefined: standard input. */
function findContainerfile(
  files: Files,
  context: string,
  given: string | undefined,
): { path: string; name: string } | undefined {
  if (given === "-") return undefined;
  const names = given === undefined ? ["Containerfile", "Dockerfile"] : [given];
  const candidates =
    given === undefined
      ? names.map((name) => `${context}/${name}`)
      : [textToByteName(given), `${context}/${textToByteName(given)}`];
  const path = candidates.find((candidate) => files.stat(candidate)?.kind === "file");
  if (path !== undefined) return { path, name: given ?? byteNameToText(path.slice(path.lastIndexOf("/") + 1)) };
  if (given !== undefined) throw new Failure("not-found", `Cannot build "${given}": there is no such file`);
  throw new Failure(
    "not-found",
    `Cannot build in "${byteNameToText(context)}": it has neither a Containerfile nor a Dockerfile`,
    {
      hint: "name the file with -f FILE",
    },
  );
}

function findIgnoreRules(
  files: Files,
  context: string,
  containerfile: string | undefined,
  given: string | undefined,
): IgnoreRules {
  if (given !== undefined && files.stat(textToByteName(given))?.kind !== "file") {
    throw new Failure("not-found", `Cannot read ignore file "${given}": there is no such file`);
  }
  const beside =
    containerfile === undefined ? [] : [`${containerfile}.dockerignore`, `${containerfile}.containerignore`];
  const candidates =
    given === undefined
      ? [...beside, `${context}/.containerignore`, `${context}/.dockerignore`]
      : [textToByteName(given)];
  for (const path of candidates) {
    const text = files.readTextIfAny(path);
    if (text === undefined) continue;
    try {
      return parseIgnoreFile(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new Failure("bad-input", `Cannot read ignore file "${byteNameToText(path)}": ${error.message}`);
    }
  }
  return createIgnoreRules([]);
}

function pairs(
  words: readonly string[],
  flag: string,
  unset: (name: string) => string | undefined,
): Map<string, string> {
  return new Map(
    words.flatMap((word) => {
      const equals = word.indexOf("=");
      const name = equals < 0 ? word : word.slice(0, equals);
      if (name === "") throw new Failure("usage", `Cannot read ${flag} "${word}": wanted NAME=VALUE`);
      const value = equals < 0 ? unset(name) : word.slice(equals + 1);
      if (value === undefined && flag === "--annotation")
        throw new Failure("usage", `Cannot read ${flag} "${word}": wanted NAME=VALUE`);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** `id=NAME[,src=FILE][,env=VARIABLE][,type=file|env]`; without source a file of that name, else a variable of that name. */
function readSecret(host: Host, text: string): readonly [string, SecretSource] {
  const fail = (why: string): Failure =>
    new Failure("usage", `Cannot read --secret "${text}": ${why}`, {
      hint: "write --secret id=NAME,src=FILE or id=NAME,env=VARIABLE",
    });
  const fields = new Map(
    text.split(",").map((field) => {
      const equals = field.indexOf("=");
      if (equals < 0) throw fail(`"${field}" has no =`);
      const key = field.slice(0, equals);
      return [key === "source" ? "src" : key, field.slice(equals + 1)] as const;
    }),
  );
  const unknown = [...fields.keys()].find((key) => !["id", "src", "env", "type"].includes(key));
  if (unknown !== undefined) throw fail(`"${unknown}" is not known`);
  const id = fields.get("id");
  if (id === undefined || id === "") throw fail("it has no id");
  const isVariable =
    fields.get("type") === "env" || fields.has("env") || (!fields.has("src") && host.env[id] !== undefined);
  if (isVariable) {
    const name = fields.get("env") ?? fields.get("src") ?? id;
    const value = host.env[name];
    if (value === undefined) throw fail(`the variable ${name} is not set`);
    return [id, { content: Buffer.from(value) }];
  }
  const path = fields.get("src") ?? id;
  if (host.files.stat(textToByteName(path))?.kind !== "file") throw fail(`there is no file "${path}"`);
  return [id, { content: host.files.read(textToByteName(path)) }];
}

function readEpoch(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (/^[0-9]{1,12}$/.test(text)) return Number(text);
  throw new Failure("usage", `Cannot read SOURCE_DATE_EPOCH "${text}": wanted seconds since 1970`);
}

/** `berth build`: a Containerfile → an image in the store. */
import { asBuildFailure, readImageName, readRequest } from "../../build/read-request.ts";
import { type BuildImageOptions, buildImage, prepareBuild } from "../../build/build-image.ts";
import { createBuildOutput, createQuietOutput } from "../../build/build-output.ts";
import { formatPlan } from "../../build/format-plan.ts";
import { ContainerfileError, formatExcerpt } from "../../containerfile/containerfile-error.ts";
import { runBundle } from "../../containers/run-process.ts";
import { textToByteName } from "../../core/bytes.ts";
import { digestHex } from "../../core/digest.ts";
import { pullImage } from "../../remote/pull.ts";
import { DEFAULT_ENCODING, LAYER_ENCODINGS, toEncoding } from "../../store/layer-encoding.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { type Context, command } from "../command.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const buildCommand = command({
  name: "build",
  summary: "Build an image from a Containerfile",
  description:
    "The whole file is checked before the first step runs. RUN steps run in a container over the image as it stands in the store, which is\n" +
    "never unpacked; each step that changed nothing since the last build comes from the cache.",
  flags: {
    tag: {
      type: "list",
      short: "t",
      value: "NAME",
      summary: "name of the image, e.g. localhost/web:1",
    },
    file: { type: "string", short: "f", value: "FILE", summary: "the Containerfile; - is standard input" },
    "build-arg": {
      type: "list",
      value: "NAME[=VALUE]",
      summary: "value of an ARG; without =VALUE that of the environment",
    },
    target: { type: "string", value: "STAGE", summary: "stop at this stage" },
    "no-cache": { type: "boolean", summary: "run every step" },
    secret: { type: "list", value: "id=NAME[,src=FILE|,env=VAR]", summary: "a secret for RUN --mount=type=secret" },
    label: { type: "list", value: "NAME=VALUE", summary: "label of the image" },
    annotation: { type: "list", value: "NAME=VALUE", summary: "annotation of the manifest" },
    network: {
      type: "string",
      value: "MODE",
      choices: ["default", "private", "host", "none"],
      default: "default",
      summary: "network of RUN steps",
    },
    ignorefile: { type: "string", value: "FILE", summary: "ignore rules in place of .containerignore" },
    iidfile: { type: "string", value: "FILE", summary: "write the image's id to this file" },
    "source-date-epoch": {
      type: "string",
      value: "SECONDS",
      summary: "time of the image and newest time of its files; default $SOURCE_DATE_EPOCH",
    },
    compression: {
      type: "string",
      value: "FORMAT",
      choices: LAYER_ENCODINGS,
      default: DEFAULT_ENCODING,
      summary: "of the layers that are made",
    },
    quiet: { type: "boolean", short: "q", summary: "print the image's id only" },
    ...REMOTE_FLAGS,
  },
  operands: [{ name: "CONTEXT", summary: "directory that COPY and ADD read; default .", optional: true }],
  examples: [
    ["berth build -t localhost/web:1 .", "build the Containerfile of this directory"],
    [
      "berth build -t localhost/web:2 --build-arg VERSION=2 -f web.containerfile .",
      "another file, a value for ARG VERSION",
    ],
    ["berth build --dry-run .", "check the file and show what would be done"],
  ],
  needsRoot: true,
  plans: true,
  async run(values, [directory = "."], context) {
    const { host } = context;
    host.mounts.isolate();
    const names = values.tag.map(readImageName);
    const fileName = values.file ?? "Containerfile";
    return withExcerpt(context, fileName, async () => {
      const read = await readRequest(
        host,
        {
          contextDirectory: directory,
          file: values.file,
          buildArgs: values["build-arg"],
          labels: values.label,
          annotations: values.annotation,
          secrets: values.secret,
          target: values.target,
          network: values.network,
          ignoreFile: values.ignorefile,
          sourceDateEpoch: values["source-date-epoch"],
        },
        context.readStdin,
      );
      using store = openWorkstationStore(host);
      const quiet = values.quiet ? createQuietOutput() : undefined;
      const say = (line: string): void => context.progress.say(line);
      const options: BuildImageOptions = {
        ...read,
        names,
        useCache: !values["no-cache"],
        encoding: toEncoding(values.compression),
        output:
          quiet ??
          createBuildOutput({ print: context.json ? (text) => say(text.replace(/\n$/, "")) : context.print, say }),
        progress: context.progress,
        runProcess: runBundle,
        pull: async (ref) => void (await pullImage(remoteContext(context, values), store, ref)),
        signal: context.signal,
      };
      if (context.dryRun) return { plan: await prepareBuild(host, store, options) };
      // Before the first step: an image whose id cannot be told is not wanted.
      if (values.iidfile !== undefined) host.files.write(textToByteName(values.iidfile), "");
      try {
        const image = await buildImage(host, store, options);
        const id = digestHex(image.manifest.config.digest);
        if (values.iidfile !== undefined) host.files.write(textToByteName(values.iidfile), `sha256:${id}`);
        return { id, digest: image.digest, names };
      } catch (error) {
        for (const line of quiet?.tail() ?? []) context.progress.warn(line);
        throw error;
      }
    });
  },
  view: (value) => ("plan" in value ? formatPlan(value.plan) : value.id),
});

/** The Containerfile's own errors are shown with their line and a caret first. */
async function withExcerpt<T>(context: Context, fileName: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ContainerfileError)) throw error;
    context.progress.warn(formatExcerpt(error));
    throw asBuildFailure(fileName, error);
  }
}

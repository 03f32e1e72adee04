/** The parts that a base image is put together of: layers that the store has, and the program itself as an image needs it. */
import { digestOf, type Digest, parseDigest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { byteNameToText, textToByteName } from "../../core/bytes.ts";
import type { Host } from "../../host/host.ts";
import { programFile, programFiles, thisProgram } from "../../host/program.ts";
import { asArray, asObject, asString, parseJsonObject } from "../../core/json.ts";
import { type Descriptor, parseDescriptor } from "../../oci/manifest.ts";
import type { BerthFiles } from "./berth-layer.ts";

/** Layers that were made, as the cache remembers them. */
export interface LayerRecord {
  readonly kernelVersion: string;
  readonly layers: readonly { readonly name: string; readonly descriptor: Descriptor; readonly diffId: Digest }[];
}

/** undefined for a record of another shape: it is made again. */
export function parseLayerRecord(text: string): LayerRecord | undefined {
  try {
    const object = parseJsonObject(text, "record");
    return {
      kernelVersion: asString(object["kernelVersion"], "record.kernelVersion"),
      layers: asArray(object["layers"], "record.layers").map((value, i) => {
        const layer = asObject(value, `record.layers[${i}]`);
        return {
          name: asString(layer["name"], "name"),
          descriptor: parseDescriptor(layer["descriptor"], "descriptor"),
          diffId: parseDigest(asString(layer["diffId"], "diffId")),
        };
      }),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export interface Berth {
  readonly files: BerthFiles;
  /** sha256 (hex) of all of them. */
  readonly key: string;
}

const BINARY_TIMEOUT_MS = 5 * 60_000;

/** The self-contained program (made first when this one runs from a checkout), the units, and bash completion. */
export async function readBerth(host: Pick<Host, "files" | "exec">, signal: AbortSignal | undefined): Promise<Berth> {
  const path = await binaryPath(host, signal);
  const completion = await host.exec([path, "completion", "bash"], { timeoutMs: 60_000, signal });
  const folder = "systemd";
  const files: BerthFiles = {
    binary: host.files.read(path),
    units: new Map(
      programFiles(folder).map((name) => [name.slice(folder.length + 1), programFile(name).toString("utf8")]),
    ),
    completion: completion.stdout.toString("utf8"),
  };
  const key = digestOf(JSON.stringify([digestOf(files.binary), [...files.units], files.completion])).slice(
    "sha256:".length,
  );
  return { files, key };
}

async function binaryPath(host: Pick<Host, "exec">, signal: AbortSignal | undefined): Promise<string> {
  const program = thisProgram();
  if (program.kind === "binary") return textToByteName(program.path);
  const built = await host.exec([program.node, `${program.root}/tools/build-binary.ts`, "--print"], {
    timeoutMs: BINARY_TIMEOUT_MS,
    signal,
  });
  const path = built.stdout.toString("utf8").trim().split("\n").at(-1) ?? "";
  if (!path.startsWith("/"))
    throw new Failure(
      "exec-failed",
      `Cannot make the self-contained program: its builder printed "${byteNameToText(path)}"`,
    );
  return textToByteName(path);
}

/**
 * loadS3Sdk(): AWS's S3 client, at its first use. Within the bundle it would cost every command 25 ms at its start, so
 * tools/build-bundle.ts puts it beside: dist/late/s3-sdk.cjs, and the asset of that name inside the self-contained executable,
 * where no file can be loaded.
 */
import { createRequire } from "node:module";
import { getAsset, isSea } from "node:sea";
import { compileFunction } from "node:vm";

type Sdk = typeof import("./s3-sdk.ts");

export async function loadS3Sdk(): Promise<Sdk> {
  const here = import.meta.url;
  if (here.endsWith(".ts")) return import("./s3-sdk.ts");
  if (!isSea()) return parseSdk(createRequire(here)("./late/s3-sdk.cjs"));
  const script = getAsset("late/s3-sdk.cjs", "utf8");
  const module: { exports: unknown } = { exports: {} };
  const run: unknown = compileFunction(script, ["module", "exports", "require"], { filename: "s3-sdk.cjs" });
  if (typeof run === "function") run(module, module.exports, createRequire(process.execPath));
  return parseSdk(module.exports);
}

function parseSdk(value: unknown): Sdk {
  if (typeof value === "object" && value !== null && "S3Client" in value) return value as Sdk;
  throw new TypeError("late/s3-sdk.cjs is not the S3 client");
}

/** The parts of the story on the build machine: base images and the tutorial's Containerfile. */
import type { Stage } from "./stage.ts";
import { containerfile, indexHtml, PAGE } from "./texts.ts";

/** Makes a base image, or takes the one that an earlier tour has made. */
export async function ensureBase(stage: Stage, suite: string, name: string, mirror: string | undefined): Promise<void> {
  await stage.run([
    "berth",
    "base",
    "build",
    "--suite",
    suite,
    "-t",
    name,
    ...(mirror === undefined ? [] : ["--mirror", mirror]),
  ]);
}

export type Edition = "first" | "second" | "thirteen";

/** What an edition installs besides the tutorial's packages: how the machine tells them apart. */
const MORE: Readonly<Record<Edition, readonly string[]>> = { first: [], second: ["htop"], thirteen: [] };

/** Writes the Containerfile and the page of an edition and builds them. */
export async function buildTutorialImage(stage: Stage, edition: Edition, base: string, name: string): Promise<void> {
  const folder = `${stage.folder}/${edition}`;
  stage.host.files.makeDirectory(folder);
  stage.host.files.write(`${folder}/Containerfile`, containerfile(base, MORE[edition]));
  stage.host.files.write(`${folder}/index.html`, indexHtml(PAGE));
  if (edition !== "thirteen") await stage.run(["cat", "Containerfile"], { cwd: folder });
  await stage.run(["berth", "build", "-t", name, "."], {
    cwd: folder,
    expect: [
      /^STEP 1\/6: FROM /m,
      /^Checks passed: \d+$|Using cache/m,
      /^COMMIT /m,
      new RegExp(`^Successfully tagged ${name.replaceAll(".", "\\.")}$`, "m"),
    ],
    showLines: 40,
  });
}

/** The parts of the story on the build machine: base images and the tutorial's Containerfile. */
import type { Stage } from "./stage.ts";
import { containerfile, indexHtml } from "./texts.ts";

/** Makes a base image, or takes the one that an earlier tour has made. */
export async function ensureBase(stage: Stage, suite: string, name: string, mirror: string | undefined): Promise<void> {
  await stage.run(["berth", "base", "build", "--suite", suite, "-t", name, ...(mirror === undefined ? [] : ["--mirror", mirror])]);
}

export type Edition = "first" | "second" | "thirteen";

const PAGES: Readonly<Record<Edition, string>> = {
  first: "This page is served from a webserver running on a Debian image mode system: first edition.",
  second: "This page is served from a webserver running on a Debian image mode system: second edition.",
  thirteen: "This page is served from a webserver running on a Debian 13 image mode system.",
};

/** Writes the Containerfile and the page of an edition and builds them. */
export async function buildTutorialImage(stage: Stage, edition: Edition, base: string, name: string): Promise<void> {
  const folder = `${stage.folder}/${edition}`;
  stage.host.files.makeDirectory(folder);
  stage.host.files.write(`${folder}/Containerfile`, containerfile(base));
  stage.host.files.write(`${folder}/index.html`, indexHtml(PAGES[edition]));
  if (edition === "first") await stage.run(["cat", "Containerfile"], { cwd: folder });
  await stage.run(["berth", "build", "-t", name, "."], {
    cwd: folder,
    expect: [/^STEP 1\/6: FROM /m, /^Checks passed: \d+$|Using cache/m, /^COMMIT /m, new RegExp(`^Successfully tagged ${name.replaceAll(".", "\\.")}$`, "m")],
    showLines: 40,
  });
}

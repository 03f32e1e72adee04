/**
 * unpackProgram(): a program from a Debian suite newer than this machine's, not installed: apt downloads its package from the host's
 * mirror, with the host's settings and Debian's signatures, and it is unpacked. For programs that need no more than the C library.
 */
import assert from "node:assert/strict";
import { chooseMirror } from "../../src/build/base/archive.ts";
import type { Host } from "../../src/host/host.ts";

export interface DebianProgram {
  readonly name: string;
  readonly suite: string;
}

const TIMEOUT_MS = 120_000;
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** `directory` takes apt's state too. Returns the path of the program. */
export async function unpackProgram(host: Host, directory: string, { name, suite }: DebianProgram): Promise<string> {
  const at = (path: string): string => `${directory}/${path}`;
  for (const path of ["state/lists/partial", "cache/archives/partial", "root"]) host.files.makeDirectory(at(path));
  const { archive } = chooseMirror(host, {});
  host.files.write(at("sources.list"), `deb [signed-by=${KEYRING}] ${archive} ${suite} main\n`);
  const settings = [
    `Dir::Etc::SourceList=${at("sources.list")}`,
    "Dir::Etc::SourceParts=/dev/null",
    `Dir::State=${at("state")}`,
    "Dir::State::status=/dev/null",
    `Dir::Cache=${at("cache")}`,
    "Acquire::Languages=none",
    // Its user may not enter the directory.
    "APT::Sandbox::User=root",
  ].flatMap((setting) => ["-o", setting]);
  const apt = (...words: string[]): Promise<unknown> =>
    host.exec(["apt-get", "-qq", ...settings, ...words], { timeoutMs: TIMEOUT_MS, cwd: directory });
  await apt("update");
  await apt("download", name);
  const file = host.files.list(directory).find((entry) => entry.endsWith(".deb"));
  assert.ok(file !== undefined);
  await host.exec(["dpkg-deb", "-x", at(file), at("root")], { timeoutMs: TIMEOUT_MS });
  return at(`root/usr/bin/${name}`);
}

/**
 * unpackPackages(): programs from a Debian suite newer than this machine's, not installed: apt downloads their packages from the
 * host's mirror, with the host's settings and Debian's signatures, and they are unpacked. programArgv() starts one with the libraries
 * that lie beside it.
 */
import { chooseMirror } from "../../src/build/base/archive.ts";
import type { Host } from "../../src/host/host.ts";

const TIMEOUT_MS = 120_000;
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** `directory` takes apt's state too. Dependencies are not followed. Returns the root that the packages lie in. */
export async function unpackPackages(
  host: Host,
  directory: string,
  { suite, packages }: { readonly suite: string; readonly packages: readonly string[] },
): Promise<string> {
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
    // A mirror that stands still has an old list of a suite that moves.
    "Acquire::Check-Valid-Until=false",
    // Its user may not enter the directory.
    "APT::Sandbox::User=root",
  ].flatMap((setting) => ["-o", setting]);
  const apt = (...words: string[]): Promise<unknown> =>
    host.exec(["apt-get", "-qq", ...settings, ...words], { timeoutMs: TIMEOUT_MS, cwd: directory });
  await apt("update");
  await apt("download", ...packages);
  for (const file of host.files.list(directory).filter((entry) => entry.endsWith(".deb")))
    await host.exec(["dpkg-deb", "-x", at(file), at("root")], { timeoutMs: TIMEOUT_MS });
  return at("root");
}

/** For a program whose C library is newer than this machine's: libc6 must be among the packages. */
export function programArgv(root: string, name: string): readonly string[] {
  return [
    `${root}/usr/lib64/ld-linux-x86-64.so.2`,
    "--library-path",
    `${root}/usr/lib/x86_64-linux-gnu`,
    `${root}/usr/bin/${name}`,
  ];
}

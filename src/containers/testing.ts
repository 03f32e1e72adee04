/**
 * For tests of containers: a small root file system made of the busybox of this machine, and the program run as a user runs it,
 * with a store of its own.
 */
import { createLinuxHost } from "../host/linux.ts";
import { thisProgram } from "../host/program.ts";
import { digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { ExecResult, Host } from "../host/host.ts";
import { openWorkstationStore } from "../store/workstation.ts";

const APPLETS = [
  "cat",
  "echo",
  "env",
  "head",
  "hostname",
  "httpd",
  "id",
  "ls",
  "nc",
  "pwd",
  "sh",
  "sleep",
  "stat",
  "stty",
  "test",
  "touch",
  "true",
  "tty",
  "wc",
];

/** Failure "missing-tool" without a static busybox. */
export function makeBusyboxRoot(host: Host, directory: string): void {
  const { files } = host;
  const busybox = host.which("busybox");
  if (busybox === undefined)
    throw new Failure("missing-tool", 'Cannot make a root file system: "busybox" is not in PATH', {
      hint: "install busybox-static",
    });
  for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp", "www"])
    files.makeDirectory(`${directory}/${name}`, { mode: 0o755 });
  files.copy(busybox, `${directory}/bin/busybox`);
  for (const applet of APPLETS) files.symlink("busybox", `${directory}/bin/${applet}`);
  files.write(`${directory}/etc/passwd`, "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n");
  files.write(`${directory}/etc/group`, "root:x:0:\nweb:x:1000:\nextra:x:77:web\n");
  files.write(`${directory}/www/index.html`, "hello from a container\n");
}

export interface Workstation extends AsyncDisposable {
  /** Runs `berth …words`; never throws for an exit status. */
  berth(
    words: readonly string[],
    options?: { stdin?: string; signal?: AbortSignal; env?: Readonly<Record<string, string>> },
  ): Promise<ExecResult & { readonly text: string }>;
}

/** A store with the image `localhost/bb:1`. Containers that are left are removed at the end. */
export async function createWorkstation(): Promise<Workstation> {
  const host = createLinuxHost();
  const directory = host.files.temporaryDirectory("/var/tmp/berth-containers-");
  const env = { ...definedOnly(host.env), BERTH_STORE: `${directory.path}/store` };
  const root = `${directory.path}/root`;
  makeBusyboxRoot(host, root);
  await importRoot({ ...host, env }, root);
  const program = await bundledProgram(host);
  const berth: Workstation["berth"] = async (words, options = {}) => {
    const result = await host.exec([...program, ...words], {
      timeoutMs: 120_000,
      check: false,
      ...options,
      env: { ...env, ...options.env },
    });
    return { ...result, text: `${result.stdout.toString()}${result.stderr.toString()}` };
  };
  return {
    berth,
    [Symbol.asyncDispose]: async () => {
      await berth(["rm", "--all", "--force"]);
      directory[Symbol.dispose]();
    },
  };
}

/** As the launcher runs it: one file, which starts five times as fast as the sources. */
async function bundledProgram(host: Host): Promise<string[]> {
  const program = thisProgram();
  if (program.kind !== "checkout") throw new Error("tests run from a checkout");
  const node = [program.node, "--disable-warning=ExperimentalWarning"];
  await host.exec([...node, `${program.root}/tools/build-bundle.ts`], { timeoutMs: 120_000 });
  return [...node, `${program.root}/dist/berth.mjs`];
}

async function importRoot(host: Host, root: string): Promise<void> {
  using store = openWorkstationStore(host);
  const tar = await host.exec(["tar", "--directory", root, "--numeric-owner", "--create", "."], { timeoutMs: 60_000 });
  async function* source(): AsyncGenerator<Uint8Array> {
    yield tar.stdout;
  }
  const { descriptor, diffId } = await store.addLayer(source());
  const config = Buffer.from(
    JSON.stringify({
      architecture: host.architecture,
      os: "linux",
      config: {
        Env: ["PATH=/bin", "FROM=image"],
        Entrypoint: ["/bin/echo"],
        Cmd: ["default", "command"],
        StopSignal: "SIGINT",
      },
      rootfs: { type: "layers", diff_ids: [diffId] },
      history: [{ created_by: "test" }],
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length },
      layers: [descriptor],
    }),
  );
  store.tag("localhost/bb:1", store.saveImage({ manifestBytes: manifest, configBytes: config }).digest);
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
}

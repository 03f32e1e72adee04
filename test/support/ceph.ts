/**
 * startCeph(): a real S3-compatible store: Ceph's monitor, one object store daemon that keeps all in memory, and its gateway,
 * each the smallest that works.
 */
import { randomUUID } from "node:crypto";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { Child, Host } from "../../src/host/host.ts";

export interface Ceph extends AsyncDisposable {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  makeBucket(name: string): Promise<void>;
}

const STARTUP_MS = 60_000;
/** Now and then one of its daemons waits for another for ever. */
const ATTEMPTS = 3;

export async function startCeph(host: Host, directory: string): Promise<Ceph> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(host, `${directory}/${attempt}`);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function startOnce(host: Host, directory: string): Promise<Ceph> {
  const [fsid, osd] = [randomUUID(), randomUUID()];
  const [monitorPort, port] = [await freePort(host), await freePort(host)];
  const endpoint = `http://127.0.0.1:${port}`;
  const monitor = `127.0.0.1:${monitorPort}`;
  const conf = `${directory}/ceph.conf`;
  for (const name of ["mon", "osd", "rgw", "run", "log"]) host.files.makeDirectory(`${directory}/${name}`);
  host.files.write(conf, configuration(directory, fsid, monitor));
  const run = (...argv: string[]): Promise<unknown> => host.exec(argv, { timeoutMs: STARTUP_MS, env: environment });
  const environment = { PATH: host.env["PATH"] ?? "", CEPH_CONF: conf };
  const started: Child[] = [];
  const start = (...argv: string[]): void => {
    const log = { file: `${directory}/log/${argv[0]}.txt` };
    started.push(host.spawn([...argv, "-f"], { env: environment, stdout: log, stderr: log }));
  };
  const stop = async (): Promise<void> => {
    for (const child of started) child.kill("SIGKILL");
    for (const child of started) await child.ended;
  };
  try {
    await run("ceph-authtool", "--create-keyring", `${directory}/keyring`, "--gen-key", "-n", "mon.");
    await run("monmaptool", "--create", "--addv", "a", `[v1:${monitor}]`, "--fsid", fsid, `${directory}/monmap`);
    await run("ceph-mon", "--mkfs", "-i", "a", "--monmap", `${directory}/monmap`, "--keyring", `${directory}/keyring`);
    start("ceph-mon", "-i", "a");
    await run("ceph", "osd", "new", osd);
    await run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
    start("ceph-osd", "-i", "0");
    // Before the gateway starts: both make the pools that are missing.
    const keys = ["--access-key", "ACCESS", "--secret", "SECRET"];
    await run("radosgw-admin", "user", "create", "--uid", "berth", "--display-name", "berth", ...keys);
    start("radosgw", "-n", "client.rgw", `--rgw_frontends=beast endpoint=127.0.0.1:${port}`);
    await answers(host, endpoint);
  } catch (error) {
    await stop();
    throw error;
  }
  const [accessKeyId, secretAccessKey] = ["ACCESS", "SECRET"];
  return {
    endpoint,
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
    async makeBucket(Bucket) {
      const credentials = { accessKeyId, secretAccessKey };
      const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
      await client.send(new CreateBucketCommand({ Bucket }));
      client.destroy();
    },
    [Symbol.asyncDispose]: stop,
  };
}

function configuration(directory: string, fsid: string, monitor: string): string {
  return `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = v1:${monitor}
public_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
mon_data = ${directory}/mon
osd_data = ${directory}/osd
rgw_data = ${directory}/rgw
run_dir = ${directory}/run
crash_dir = ${directory}/log
admin_socket = ${directory}/run/$name.$pid.asok
pid_file = ${directory}/run/$name.pid
log_file = ${directory}/log/$name.log
`;
}

async function freePort(host: Host): Promise<number> {
  const handler = async (): Promise<never> => Promise.reject(new Error("nobody calls"));
  await using server = await host.network.serve(handler, { host: "127.0.0.1", port: 0 });
  return server.port;
}

async function answers(host: Host, url: string): Promise<void> {
  const deadline = host.clock.elapsed() + STARTUP_MS;
  for (;;) {
    try {
      const response = await host.network.request({ method: "GET", url });
      response.discard();
      return;
    } catch (error) {
      if (host.clock.elapsed() > deadline) throw error;
      await host.clock.sleep(200);
    }
  }
}

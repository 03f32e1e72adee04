/**
 * openNetwork(): a network namespace on the bridge `berth0`, from which the outside is reached through NAT.
 *
 * Addresses are claimed as files in /run/berth/network, made exclusively, so that two containers never get the same one; a claim
 * whose namespace is gone is free again. The namespace's veth pair ends with the namespace.
 *
 * @see ip-netns(8), nft(8)
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";

export interface ContainerNetwork {
  /** Of the namespace, for the runtime. */
  readonly path: string;
  readonly address: string;
  close(): Promise<void>;
}

const BRIDGE = "berth0";
const PREFIX = "10.87";
const GATEWAY = `${PREFIX}.0.1`;
const SUBNET = `${PREFIX}.0.0/16`;
const CLAIMS = "/run/berth/network";
const TIMEOUT_MS = 20_000;

/** `id`: at least eight hex digits. The namespace is called `berth-<id>`. */
export async function openNetwork(host: Host, id: string): Promise<ContainerNetwork> {
  const name = namespaceName(id);
  requireTools(host);
  await Promise.all([prepareBridge(host), prepareNat(host)]);
  const address = claimAddress(host, id);
  try {
    const device = `bt${id.slice(0, 10)}`;
    await batch(
      host,
      [],
      [
        `netns add ${name}`,
        `link add ${device} type veth peer name eth0 netns ${name}`,
        `link set ${device} master ${BRIDGE} up`,
      ],
    );
    await batch(
      host,
      ["-n", name],
      ["link set lo up", `addr add ${address}/16 dev eth0`, "link set eth0 up", `route add default via ${GATEWAY}`],
    );
  } catch (error) {
    await closeNetwork(host, id);
    throw error;
  }
  return { path: `/run/netns/${name}`, address, close: () => closeNetwork(host, id) };
}

/** Also for what a killed process left behind. */
export async function closeNetwork(host: Host, id: string): Promise<void> {
  const name = namespaceName(id);
  if (host.files.exists(`/run/netns/${name}`)) {
    await host.exec(["ip", "netns", "del", name], { timeoutMs: TIMEOUT_MS, check: false });
    host.files.remove(`/run/netns/${name}`);
  }
  for (const address of host.files.listIfAny(CLAIMS)) {
    if (host.files.readTextIfAny(`${CLAIMS}/${address}`) === id) host.files.remove(`${CLAIMS}/${address}`);
  }
}

function namespaceName(id: string): string {
  return `berth-${id.slice(0, 12)}`;
}

function requireTools(host: Host): void {
  if (host.which("ip") === undefined || host.which("nft") === undefined) {
    throw new Failure("missing-tool", 'Cannot make a network: "ip" and "nft" must be in PATH', {
      hint: "install the packages iproute2 and nftables, or use --network host",
    });
  }
}

/** Bridge and forwarding: made once, then only looked at. */
async function prepareBridge(host: Host): Promise<void> {
  const { files } = host;
  files.makeDirectory(CLAIMS, { mode: 0o700 });
  using lock = files.lock("/run/berth/network.lock", "exclusive", { wait: true });
  if (!files.exists(`/sys/class/net/${BRIDGE}`)) {
    await batch(
      host,
      [],
      [`link add ${BRIDGE} type bridge`, `addr add ${GATEWAY}/16 dev ${BRIDGE}`, `link set ${BRIDGE} up`],
    );
  }
  const forwarding = "/proc/sys/net/ipv4/ip_forward";
  if (files.readText(forwarding).trim() !== "1") files.write(forwarding, "1");
  lock.release();
}

async function prepareNat(host: Host): Promise<void> {
  const listed = await host.exec(["nft", "list", "chain", "ip", "berth", "postrouting"], {
    timeoutMs: TIMEOUT_MS,
    check: false,
  });
  if (listed.exitCode !== 0) await run(host, ["nft", "-f", "-"], NAT_RULES);
}

/** Adding the rule twice would do no harm, and two of us may. */
const NAT_RULES = `table ip berth {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${SUBNET} oifname != "${BRIDGE}" masquerade
  }
}
`;

/** Starts looking at a place that the id decides: two containers rarely collide. */
function claimAddress(host: Host, id: string): string {
  const { files } = host;
  const start = Number.parseInt(id.slice(0, 8), 16);
  const last = 65_534;
  for (let i = 0; i < last - 1; i += 1) {
    const number = 2 + ((start + i) % (last - 1));
    const address = `${PREFIX}.${number >> 8}.${number & 0xff}`;
    const path = `${CLAIMS}/${address}`;
    try {
      using claim = files.open(path, "create", 0o600);
      claim.write(Buffer.from(id));
      return address;
    } catch (error) {
      if (!isFailure(error, "already-exists")) throw error;
    }
    const owner = files.readTextIfAny(path);
    // A claim is written before its namespace is made: only old ones without one are stale.
    const age = host.clock.now() / 1000 - (files.lstat(path)?.mtimeSec ?? Infinity);
    if (owner !== undefined && age > 60 && !files.exists(`/run/netns/${namespaceName(owner)}`)) {
      files.replace(path, id, { mode: 0o600 });
      return address;
    }
  }
  throw new Failure("busy", `Cannot make a network: every address of ${SUBNET} is taken`);
}

async function batch(host: Host, options: readonly string[], lines: readonly string[]): Promise<void> {
  await run(host, ["ip", ...options, "-batch", "-"], `${lines.join("\n")}\n`);
}

async function run(host: Host, argv: readonly string[], stdin?: string): Promise<void> {
  await host.exec(argv, { timeoutMs: TIMEOUT_MS, ...(stdin !== undefined && { stdin }) });
}

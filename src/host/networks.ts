/** Networks: addresses by rule, each one address or a network in CIDR form: `10.0.0.0/8`, `2001:db8::/32`. */
import { BlockList, isIP } from "node:net";

/** Whether an address is in one of `networks`. IPv4 counts when it is written as IPv6 too (`::ffff:192.0.2.1`). Throws SyntaxError. */
export function compileNetworks(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits, ...more] = network.split("/");
    const family = isIP(address);
    const bitsMax = family === 4 ? 32 : 128;
    const prefixBits = bits === undefined ? bitsMax : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (family === 0 || more.length > 0 || !(prefixBits <= bitsMax)) {
      throw new SyntaxError(`${JSON.stringify(network.slice(0, 200))} is no address and no network as in 10.0.0.0/8`);
    }
    list.addSubnet(address, prefixBits, family === 4 ? "ipv4" : "ipv6");
  }
  return (address) => isAddress(address) && list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}

/** An IP address without brackets or port. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0;
}

/** A host name or an IP address without brackets that no other machine reaches. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

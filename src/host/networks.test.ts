import assert from "node:assert/strict";
import { test } from "node:test";
import { compileNetworks } from "./networks.ts";

for (const [networks, inside, outside] of [
  [["192.0.2.0/24"], ["192.0.2.9", "::ffff:192.0.2.9"], ["192.0.3.9", "::1", "", "x", "192.0.2.9:80", "[::1]"]],
  [["192.0.2.9"], ["192.0.2.9"], ["192.0.2.8"]],
  [
    ["2001:db8::/32", "::1"],
    ["2001:db8::7", "::1"],
    ["2001:db9::7", "32.1.13.184"],
  ],
  [["0.0.0.0/0"], ["8.8.8.8"], ["2001:db8::7"]],
  [[], [], ["192.0.2.9"]],
] as const) {
  test(`compileNetworks() knows what is in ${networks.join(", ") || "nothing"}`, () => {
    const contains = compileNetworks(networks);
    for (const address of inside) assert.equal(contains(address), true, address);
    for (const address of outside) assert.equal(contains(address), false, address);
  });
}

for (const network of ["", "proxy.lan", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0/8", "1.2.3.4/-1"])
  test(`compileNetworks() rejects "${network}"`, () =>
    assert.throws(() => compileNetworks([network]), { name: "SyntaxError", message: /is no address and no network/ }));

/** `berth registry init`: a directory that can be served as a registry. */
import { textToByteName } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { initRegistry } from "../../registry/init.ts";
import { command } from "../command.ts";

export const registryInitCommand = command({
  name: "registry init",
  summary: "Make a registry: TLS key pair, users, configuration",
  description:
    "Writes registry.toml, htpasswd (bcrypt) and a key pair with a self-signed certificate into DIR. Clients trust it when\n" +
    "DIR/tls/registry.crt is put into /etc/containers/certs.d/HOST:PORT/ca.crt.",
  flags: {
    user: { type: "string", short: "u", value: "NAME", summary: "The first user" },
    "password-stdin": { type: "boolean", summary: "Read the password from standard input" },
    hostname: { type: "list", value: "NAME", summary: "Host name or IP address of the certificate, besides localhost" },
    tls: {
      type: "boolean",
      default: true,
      summary: "TLS with a self-signed certificate; --no-tls: plain HTTP, on the loopback interface",
    },
  },
  operands: [{ name: "DIR", summary: "the registry's folder" }],
  examples: [
    [
      "echo -n secret | berth registry init /srv/registry --user anna --password-stdin --hostname registry.example.com",
      "with TLS",
    ],
  ],
  async run(values, [directory = ""], context) {
    const user = values.user ?? (await context.ask("Username: "));
    const password = values["password-stdin"]
      ? (await context.readStdin()).replace(/\r?\n$/, "")
      : await context.ask("Password: ", { hidden: true });
    if (user === "") throw new Failure("usage", "Cannot make a registry: --user is empty");
    return initRegistry(context.host, textToByteName(directory), {
      user,
      password,
      hostnames: values.hostname,
      tls: values.tls,
      signal: context.signal,
    });
  },
  view: ({ directory, certificate, listen }) =>
    `Registry made in ${directory}, to listen on ${listen}\n${certificate === undefined ? "" : `Certificate for clients: ${certificate}\n`}`,
});

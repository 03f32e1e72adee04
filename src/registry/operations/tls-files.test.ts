import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure, isFailure } from "../../core/failure.ts";
import { createFakeHost } from "../../host/fake.ts";
import { followTls, readTls, type TlsConfig } from "./tls-files.ts";

const CONFIG: TlsConfig = { certificate: "c", key: "k", clientCa: "ca", clientAuth: "optional" };
const at = (path: string): string => `/srv/${path}`;

function hostWith(files: Readonly<Record<string, string>>): ReturnType<typeof createFakeHost> {
  const host = createFakeHost();
  host.files.makeDirectory("/srv");
  for (const [name, text] of Object.entries(files)) host.files.write(at(name), text);
  return host;
}

test("readTls() reads what the configuration names", () => {
  const host = hostWith({ c: "C", k: "K", ca: "A" });
  assert.deepEqual(readTls(host, CONFIG, at), { cert: "C", key: "K", clientCa: "A", clientRequired: false });
  assert.throws(
    () => readTls(host, { ...CONFIG, clientCa: undefined, clientAuth: "required" }, at),
    (error) => isFailure(error, "bad-input"),
  );
  assert.throws(
    () => readTls(host, { ...CONFIG, key: "none" }, at),
    (error) => isFailure(error, "not-found"),
  );
});

test("followTls() gives changed files to the server once, and warns of those that cannot be used", async () => {
  const host = hostWith({ c: "C1", k: "K1", ca: "A" });
  const changes: (() => void)[] = [
    () => {},
    () => host.files.replace(at("c"), "C2"),
    () => host.files.replace(at("k"), "K2"),
    () => {},
    () => host.files.remove(at("ca")),
    () => host.files.replace(at("ca"), "B"),
  ];
  const stop = new AbortController();
  const clock = {
    ...host.clock,
    sleep: async (): Promise<void> => {
      const change = changes.shift();
      if (change === undefined) throw new Failure("aborted", "stopped");
      change();
    },
  };
  const taken: string[] = [];
  const said: string[] = [];
  const server = {
    reloadTls: ({ cert, key, clientCa }: { cert: string; key: string; clientCa?: string | undefined }): void => {
      if (cert[1] !== key[1]) throw new Failure("bad-input", "Cannot use the new TLS key pair: it stays as it was");
      taken.push(`${cert} ${key} ${clientCa}`);
    },
  };
  const say = (text: string): void => void said.push(text);
  const options = { tls: CONFIG, at, progress: { say, warn: say }, signal: stop.signal };
  await followTls({ files: host.files, clock }, server, options);
  assert.deepEqual(taken, ["C2 K2 A", "C2 K2 B"]);
  assert.deepEqual(
    said.map((line) => line.split(":")[0]),
    ["Cannot use the new TLS key pair", "Took the new TLS files", 'Cannot read "/srv/ca"', "Took the new TLS files"],
  );
});

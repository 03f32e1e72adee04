import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { createFakeHost } from "../../host/fake.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { parsePolicy, readImagePolicy, requirementsFor } from "./policy.ts";
import { readSignaturePlaces } from "./registries-d.ts";

const accept = { type: "insecureAcceptAnything" };
const signedBy = (path: string): object => ({ type: "signedBy", keyType: "GPGKeys", keyPath: path });
const env = { HOME: "/h" };

const scoped = JSON.stringify({
  default: [{ type: "reject" }],
  transports: {
    docker: {
      "": [signedBy("/any")],
      "r.io": [signedBy("/registry")],
      "r.io/team": [signedBy("/team")],
      "r.io/team/os": [signedBy("/os")],
      "r.io/team/os:1": [signedBy("/one"), accept],
      "*.a.io": [signedBy("/a")],
    },
  },
});

for (const [image, wanted] of [
  ["r.io/team/os:1", "r.io/team/os:1"],
  ["r.io/team/os:2", "r.io/team/os"],
  ["r.io/team/os2:1", "r.io/team"],
  ["r.io/teams/os:1", "r.io"],
  ["x.a.io/os:1", "*.a.io"],
  ["x.y.a.io/os:1", "*.a.io"],
  ["a.io/os:1", "docker"],
  ["r.io:5000/os:1", "docker"],
] as const) {
  test(`${image} falls under ${wanted}`, () =>
    assert.equal(requirementsFor(parsePolicy(scoped), parseImageRef(image)).scope, wanted));
}

test("without a scope that fits, default counts", () => {
  const policy = parsePolicy(
    JSON.stringify({ default: [{ type: "reject" }], transports: { docker: { "r.io": [accept] } } }),
  );
  assert.deepEqual(requirementsFor(policy, parseImageRef("q.io/a")), {
    scope: "default",
    requirements: [{ kind: "reject" }],
  });
});

const one = (requirement: object): string => JSON.stringify({ default: [requirement] });
const sigstore = { type: "sigstoreSigned" };

test("keys are read from each field that may hold them", () => {
  const keys = (requirement: object): unknown => {
    const [read] = parsePolicy(one(requirement)).default;
    return read !== undefined && "keys" in read ? read.keys : read;
  };
  assert.deepEqual(keys({ ...sigstore, keyPath: "/a" }), { paths: ["/a"], data: [] });
  assert.deepEqual(keys({ ...sigstore, keyPaths: ["/a", "/b"] }), { paths: ["/a", "/b"], data: [] });
  assert.deepEqual(keys({ ...sigstore, keyData: "aGk=" }), { paths: [], data: [Buffer.from("hi")] });
  assert.deepEqual(keys({ ...sigstore, keyDatas: ["aGk=", "aG8="] }), {
    paths: [],
    data: [Buffer.from("hi"), Buffer.from("ho")],
  });
  assert.deepEqual(keys({ ...signedBy("/a"), keyPath: undefined, keyPaths: ["/b"] }), { paths: ["/b"], data: [] });
});

for (const [requirement, what] of [
  [{ ...sigstore, fulcio: { caPath: "/ca" }, rekorPublicKeyPath: "/r" }, "sigstoreSigned with fulcio"],
  [{ ...sigstore, keyPath: "/k", rekorPublicKeyPath: "/r" }, "sigstoreSigned with rekorPublicKeyPath"],
  [{ ...sigstore, pki: {} }, "sigstoreSigned with pki"],
  [{ type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } }, "signedBaseLayer"],
] as const) {
  test(`${what} is read, and can never be met`, () =>
    assert.deepEqual(parsePolicy(one(requirement)).default, [{ kind: "unsupported", what }]));
}

for (const [name, text, pattern] of [
  ["no JSON", "{", /it is not JSON/],
  ["no default", '{"transports":{}}', /policy.default/],
  ["a key twice", '{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}', /key "default" twice/],
  [
    "a key of a requirement twice",
    '{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}',
    /key "type" twice/,
  ],
  ["an unknown key", '{"default":[{"type":"reject"}],"defualt":[]}', /unknown key "defualt"/],
  ["an unknown key of sigstoreSigned", one({ ...sigstore, keyPath: "/k", keypath: "/k" }), /unknown key "keypath"/],
  ["an empty list", '{"default":[]}', /policy.default: it is empty/],
  [
    "an empty list of another transport",
    '{"default":[{"type":"reject"}],"transports":{"dir":{"":[]}}}',
    /transports.dir\[""\]: it is empty/,
  ],
  ["an unknown type", one({ type: "trust" }), /it is "trust", wanted insecureAcceptAnything/],
  ["no keyType", one({ type: "signedBy", keyPath: "/k" }), /keyType/],
  ["another keyType", one({ ...signedBy("/k"), keyType: "X509Certificates" }), /wanted GPGKeys/],
  ["no key", one(sigstore), /it has no key, wanted one of/],
  ["two keys", one({ ...sigstore, keyPath: "/k", keyData: "aGk=" }), /keyPath and keyData, wanted one of/],
  ["an empty keyPaths", one({ ...sigstore, keyPaths: [] }), /keyPaths: it is empty/],
  ["keyData that is no base64", one({ ...sigstore, keyData: "hi!" }), /it is not base64/],
  [
    "a scope with a wildcard inside",
    '{"default":[{"type":"reject"}],"transports":{"docker":{"a.*.io":[{"type":"reject"}]}}}',
    /is no scope/,
  ],
] as const) {
  test(`a policy with ${name} rejects the whole file`, () => {
    const host = createFakeHost({ files: { "/etc/containers/policy.json": text } });
    assert.throws(
      () => readImagePolicy(host, parseImageRef("r.io/a")),
      (error) => {
        assert.ok(isFailure(error, "bad-input") && error.message.includes('"/etc/containers/policy.json"'));
        assert.match(String(error.cause), pattern);
        return true;
      },
    );
  });
}

test("the user's policy.json hides the system's; without either there is none", () => {
  const files = { "/etc/containers/policy.json": one({ type: "reject" }) };
  const own = { ...files, "/h/.config/containers/policy.json": one(accept) };
  const ref = parseImageRef("r.io/a");
  assert.equal(readImagePolicy(createFakeHost({ env, files }), ref)?.file, "/etc/containers/policy.json");
  assert.deepEqual(readImagePolicy(createFakeHost({ env, files: own }), ref)?.requirements, [
    { kind: "insecureAcceptAnything" },
  ]);
  assert.equal(readImagePolicy(createFakeHost({ env }), ref), undefined);
});

test("registries.d: each setting comes from the most specific scope that has it", async () => {
  const files = {
    "/etc/containers/registries.d/a.yaml": "default-docker:\n  lookaside: https://any.lan/sigs/\n",
    "/etc/containers/registries.d/b.yaml":
      "docker:\n  r.io:\n    use-sigstore-attachments: true\n    sigstore: file:///old\n  r.io/team/os:\n    lookaside: file:///os\n  r.io/off:\n    use-sigstore-attachments: false\n",
    "/etc/containers/registries.d/ignored.txt": "{",
  };
  const places = async (image: string): Promise<unknown[]> => {
    const found = await readSignaturePlaces(createFakeHost({ env, files }), parseImageRef(image));
    return [found.lookaside, found.usesSigstoreAttachments];
  };
  assert.deepEqual(await places("r.io/team/os:1"), ["file:///os", true]);
  assert.deepEqual(await places("r.io/team/web:1"), ["file:///old", true]);
  assert.deepEqual(await places("r.io/off:1"), ["file:///old", false]);
  assert.deepEqual(await places("q.io/a:1"), ["https://any.lan/sigs", false]);
});

test("registries.d: built-in places, and the user's directory instead of the system's", async () => {
  const ref = parseImageRef("r.io/a");
  const at = async (options: Parameters<typeof createFakeHost>[0]): Promise<string> =>
    (await readSignaturePlaces(createFakeHost(options), ref)).lookaside;
  assert.equal(await at({ env, user: { uid: 0, gid: 0 } }), "file:///var/lib/containers/sigstore");
  assert.equal(await at({ env, user: { uid: 1000, gid: 1000 } }), "file:///h/.local/share/containers/sigstore");
  const files = {
    "/etc/containers/registries.d/a.yaml": "default-docker: {lookaside: file:///system}",
    "/h/.config/containers/registries.d/a.yaml": "default-docker: {lookaside: file:///user}",
  };
  assert.equal(await at({ env, files }), "file:///user");
});

for (const [name, text] of [
  ["no YAML", "a: [\n"],
  ["a list", "- a\n"],
  ["a lookaside that is no URL", "default-docker: {lookaside: /var}"],
  ["a lookaside over ftp", "default-docker: {lookaside: ftp://a/b}"],
  ["attachments that are no boolean", "docker: {r.io: {use-sigstore-attachments: maybe}}"],
  ["the same scope in two files", "docker: {twice.io: {}}"],
] as const) {
  test(`registries.d: a file with ${name} is an error that names it`, async () => {
    const files = {
      "/etc/containers/registries.d/a.yaml": "docker: {twice.io: {}}",
      "/etc/containers/registries.d/b.yaml": text,
    };
    await assert.rejects(
      () => readSignaturePlaces(createFakeHost({ files }), parseImageRef("r.io/a")),
      (error) => isFailure(error, "bad-input") && error.message.includes("registries.d/b.yaml"),
    );
  });
}

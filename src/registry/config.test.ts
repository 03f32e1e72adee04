import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "smol-toml";
import { parseRegistryConfig, registrySchema } from "./config.ts";
import { bytes, choice, count, duration, flag, list, mapOf, parseDuration, table } from "./config/fields.ts";
import { formatListen, parseListen } from "./config/listen.ts";

const SCHEMA_FILE = new URL("../../docs/registry.schema.json", import.meta.url);
const LISTEN = 'listen = ":5000"\n';
const MINIMAL = `${LISTEN}[storage]\ndriver = "files"\ndirectory = "data"\n`;

test("docs/registry.schema.json is the configuration's table", () => {
  const wanted = `${JSON.stringify(registrySchema, undefined, 2)}\n`;
  if (process.argv.includes("--update")) writeFileSync(SCHEMA_FILE, wanted);
  assert.equal(readFileSync(SCHEMA_FILE, "utf8"), wanted, "run this test with --update");
});

const accepted: readonly (readonly [what: string, content: string])[] = [
  ["the least", MINIMAL],
  ["a protocol's options", `${MINIMAL}[protocol]\nsparse = ["mirror/**"]\nnotice = "bye"`],
  ["a key pair", `${MINIMAL}[tls]\ncertificate = "c"\nkey = "k"`],
  [
    "a bucket",
    `${LISTEN}[storage]\ndriver = "s3"\nbucket = "b"\nendpoint = "https://s3.test"\nprefix = "os/"\nredirect = true`,
  ],
  [
    "rules",
    `${MINIMAL}[tags]\nimmutable = ["v*"]\n[[quota]]\nrepositories = "team/**"\nsize = "1 GiB"\n[[retention]]\nkeep-last = 3`,
  ],
  ["users", `${MINIMAL}[auth.htpasswd]\nfile = "h"`],
  ["robots and tokens", `${MINIMAL}[auth.robots]\nfile = "r"\n[auth.tokens]\nkey = "k"\nlifetime = "60s"`],
  ["client certificates", `${MINIMAL}[tls]\ncertificate = "c"\nkey = "k"\nclient-ca = "a"\nclient-auth = "required"`],
  [
    "permissions",
    `${MINIMAL}[groups]\no = ["a"]\n[[permissions]]\nrepositories = ["a/**"]\nactions = ["pull"]\ngroups = ["o"]`,
  ],
  ["limits and audit", `${MINIMAL}[limits]\nrequests-per-second = 5\n[audit]\nfile = "a"`],
  ["proxies", `${MINIMAL}[proxies]\ntrusted = ["10.0.0.0/8", "::1"]\nheader = "Forwarded"`],
  ["metrics and shutdown", `${MINIMAL}[metrics]\nlisten = ":9"\n[shutdown]\ndrain = "5s"\ngrace = "1m"`],
  ["webhooks", `${MINIMAL}[[webhooks]]\nurl = "https://h/x"\nsecret = "s"\nevents = ["push"]`],
  ["no page", `${MINIMAL}[web]\nenabled = false`],
  [
    "an upstream",
    `${MINIMAL}[[upstream]]\nprefix = "hub/x"\nlocation = "[::1]:5000/org/team"\ninterval = "1h"\nauth-file = "a"\nsize = "1 GiB"`,
  ],
];

const rejected: readonly (readonly [what: string, content: string, message: RegExp])[] = [
  ["an unknown key", `lisen = ":2"\n${MINIMAL}`, /key "lisen" is unknown, did you mean "listen"\?/],
  ["a key like no other", `${MINIMAL}[frobnicate]`, /key "frobnicate" is unknown, wanted listen, storage/],
  ["an unknown key of a section", `${MINIMAL}[auth.ldap]`, /key "auth\.ldap" is unknown, wanted htpasswd/],
  [
    "a proxy's name",
    `${MINIMAL}[proxies]\ntrusted = ["proxy.lan"]`,
    /Cannot read proxies\.trusted\[0\]: "proxy\.lan" is no/,
  ],
  ["no storage", 'listen = ":1"', /Cannot read storage: it is absent/],
  ["another driver", MINIMAL.replace("files", "tape"), /Cannot read storage\.driver: it is "tape", wanted "files"/],
  [
    "a key of the other driver",
    `${LISTEN}[storage]\ndriver = "s3"\nbucket = "b"\ndirectory = "d"`,
    /"storage.directory" is unk/,
  ],
  ["no bucket", `${LISTEN}[storage]\ndriver = "s3"`, /Cannot read storage.bucket: it is/],
  [
    "an endpoint without https",
    `${LISTEN}[storage]\ndriver = "s3"\nbucket = "b"\nendpoint = "s3.test"`,
    /wanted https:/,
  ],
  ["a prefix without a slash", `${LISTEN}[storage]\ndriver = "s3"\nbucket = "b"\nprefix = "os"`, /wanted a \/ at its/],
  [
    "a webhook's glob that matches nothing",
    `${MINIMAL}[[webhooks]]\nurl = "https://h/x"\nrepositories = ["team/[a"]`,
    /webhooks\[0\]\.repositories\[0\]: pattern "team\/\[a" can match no repository/,
  ],
  [
    "a glob that matches no tag",
    `${MINIMAL}[tags]\nimmutable = ["a/b"]`,
    /Cannot read tags.immutable\[0\]: pattern "a\/b"/,
  ],
  ["a quota without a size", `${MINIMAL}[[quota]]\nrepositories = "a"`, /Cannot read quota\[0\].size/],
  ["half of a key pair", `${MINIMAL}[tls]\nkey = "k"`, /Cannot read tls\.certificate: it is absent/],
  ["an empty file name", `${MINIMAL}[auth.htpasswd]\nfile = ""`, /Cannot read auth\.htpasswd\.file: it is empty/],
  ["a number for an address", MINIMAL.replace('":5000"', "5000"), /Cannot read listen: it is 5000, wanted a string/],
  [
    "an action that is none",
    `${MINIMAL}[[permissions]]\nrepositories = ["a"]\nactions = ["fly"]`,
    /permissions\[0\]\.actions\[0\]: it is "fly"/,
  ],
  [
    "a glob that matches nothing",
    `${MINIMAL}[[permissions]]\nrepositories = ["A"]\nactions = []`,
    /permissions\[0\]\.repositories\[0\]/,
  ],
  ["a sparse glob that matches nothing", `${MINIMAL}[protocol]\nsparse = ["A"]`, /protocol\.sparse\[0\]/],
  ["a notice of two lines", `${MINIMAL}[protocol]\nnotice = "a\\nb"`, /protocol\.notice: it is not 1 to 4000/],
  ["no rate", `${MINIMAL}[limits]\nrequests-per-second = 0`, /limits\.requests-per-second: it is 0, wanted at least 1/],
  [
    "a webhook to a file",
    `${MINIMAL}[[webhooks]]\nurl = "file:///x"`,
    /webhooks\[0\]\.url: it is no http or https URL/,
  ],
  ["an address without a port", MINIMAL.replace(":5000", "host"), /Cannot read listen: Cannot listen on "host"/],
  ["a word for the page", `${MINIMAL}[web]\nenabled = "no"`, /Cannot read web\.enabled: it is "no"/],
  [
    "a prefix that is no name",
    `${MINIMAL}[[upstream]]\nprefix = "Hub/"\nlocation = "docker.io"`,
    /Cannot read upstream\[0\]\.prefix: "Hub\/" is no repository name/,
  ],
  [
    "a URL for a location",
    `${MINIMAL}[[upstream]]\nprefix = "hub"\nlocation = "https://docker.io"`,
    /upstream\[0\]\.location: "https:\/\/docker\.io" is no HOST\[:PORT\]\[\/PATH\]/,
  ],
  ["an upstream without a location", `${MINIMAL}[[upstream]]\nprefix = "hub"`, /upstream\[0\]\.location: it is absent/],
];

const schema = new Ajv2020({ strict: true }).compile(registrySchema);

for (const [what, content] of accepted) {
  test(`a configuration with ${what} is accepted, by the schema too`, () => {
    parseRegistryConfig(content);
    assert.equal(schema(parse(content)), true, JSON.stringify(schema.errors));
  });
}

for (const [what, content, message] of rejected) {
  test(`a configuration with ${what} is refused, by the schema too`, () => {
    assert.throws(() => parseRegistryConfig(content), message);
    assert.equal(schema(parse(content)), false);
  });
}

test("a token's life is out of range", () => {
  for (const lifetime of ["59s", "301s", "1h"]) {
    const content = `${MINIMAL}[auth.tokens]\nkey = "k"\nlifetime = "${lifetime}"`;
    assert.throws(() => parseRegistryConfig(content), /auth\.tokens\.lifetime: it is out of range, wanted 60s to 300s/);
  }
});

test("kinds of fields read what their schema accepts and reject the rest", () => {
  const kinds = table("all", {
    number: count("", 1),
    yesNo: flag(""),
    oneOf: choice("", ["a", "b"]),
    time: duration(""),
    size: bytes(""),
    many: list("", count("")),
    named: mapOf("", count("")),
  });
  const good = { number: 1, "yes-no": true, "one-of": "a", time: "5m", size: "2 KiB", many: [1], named: { x: 1 } };
  const check = new Ajv2020().compile(kinds.schema);
  const expected = {
    number: 1,
    yesNo: true,
    oneOf: "a",
    time: 300_000,
    size: 2048,
    many: [1],
    named: new Map([["x", 1]]),
  };
  assert.deepEqual(kinds.read(good, "t"), expected);
  assert.equal(check(good), true);
  const bad = {
    number: 0,
    "yes-no": "yes",
    "one-of": "c",
    time: "5 minutes",
    size: "big",
    many: [-1],
    named: { x: "" },
  };
  for (const [key, value] of Object.entries(bad)) {
    assert.throws(() => kinds.read({ ...good, [key]: value }, "t"), new RegExp(`Cannot read t\\.${key}`), key);
    assert.equal(check({ ...good, [key]: value }), false, key);
  }
});

test("parseDuration() knows its units", () => {
  assert.deepEqual(["7ms", "2s", "1m", "1h", "1d"].map(parseDuration), [7, 2000, 60_000, 3_600_000, 86_400_000]);
  for (const bad of ["", "5", "s", "-1s", "1w", "1.5s"]) assert.throws(() => parseDuration(bad), SyntaxError);
});

test("parseListen() reads addresses and rejects the rest", () => {
  assert.deepEqual(parseListen("127.0.0.1:0"), { host: "127.0.0.1", port: 0 });
  assert.deepEqual(parseListen("[::1]:5000"), { host: "::1", port: 5000 });
  assert.deepEqual(parseListen(":5000"), { host: "::", port: 5000 });
  assert.equal(formatListen({ host: "::1", port: 1 }), "[::1]:1");
  for (const bad of ["5000", "host", "host:", "host:70000", "::1:5000", "h ost:1"])
    assert.throws(() => parseListen(bad), SyntaxError);
});

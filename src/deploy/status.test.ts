import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parseDigest } from "../core/digest.ts";
import { parseImageConfig } from "../oci/config.ts";
import { parseManifest } from "../oci/manifest.ts";
import type { Deployments } from "./deployments.ts";
import { EMPTY_HOST, type HostObject } from "./host-object.ts";
import { createEntry, type Menu, type MenuEntry, rankEntries } from "./menu.ts";
import type { Origin } from "./origin.ts";
import { createStatus, onlyBooted, type StatusInputs } from "./status.ts";
import { formatStatus, formatTimestamp } from "./status-view.ts";

const A = "a".repeat(128);
const B = "b".repeat(128);
const C = "c".repeat(128);
const digest = (letter: string): ReturnType<typeof parseDigest> => parseDigest(`sha256:${letter.repeat(64)}`);

const entry = (id: string): MenuEntry =>
  createEntry({
    id,
    verityOptional: id === B,
    release: { ID: "debian", VERSION_ID: "12" },
    kernelDirectory: `bootc_composefs-${id}`,
    options: ["rw"],
  });
const menu = (...ids: string[]): Menu => ({ entries: rankEntries(ids.map(entry)), problems: [], readable: true });
const origin = (letter: string): Origin => ({
  image: { transport: "registry", image: "podman.example.com:5000/os:deploy" },
  bootType: "bls",
  bootDigest: "1".repeat(64),
  manifestDigest: digest(letter),
});

function deployments(parts: Partial<Deployments> = {}): Deployments {
  const shown = parts.menu ?? menu(A);
  return {
    bootedId: A,
    menu: shown,
    stagedMenu: menu(),
    staged: undefined,
    booted: shown.entries.find(({ id }) => id === A),
    rollback: shown.entries.find(({ id }) => id !== A),
    rollbackQueued: false,
    origins: new Map([
      [A, origin("a")],
      [B, origin("b")],
      [C, origin("c")],
    ]),
    problems: [],
    ...parts,
  };
}

const CONFIG = parseImageConfig(
  JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: "2025-02-12T11:11:00.087146497+01:00",
    config: { Labels: { "org.opencontainers.image.version": "9.20250109.0" } },
    rootfs: { type: "layers", diff_ids: [] },
  }),
);
const MANIFEST = parseManifest(
  JSON.stringify({ schemaVersion: 2, config: { mediaType: "x", digest: digest("f"), size: 1 }, layers: [] }),
);

const inputs = (parts: Partial<Deployments> = {}, rest: Partial<StatusInputs> = {}): StatusInputs => ({
  deployments: deployments(parts),
  imageOf: () => ({ manifest: MANIFEST, config: CONFIG }),
  bootloader: "systemd",
  usrOverlay: undefined,
  readOnly: false,
  architecture: "amd64",
  ...rest,
});

const STAGED = { menu: menu(A, B), staged: { id: C, locked: false, entry: entry(C) }, stagedMenu: menu(C, A) };
const STATES: Readonly<Record<string, HostObject>> = {
  empty: EMPTY_HOST,
  booted: createStatus(inputs()),
  "all slots": createStatus(inputs(STAGED)),
  "rollback queued": createStatus(inputs({ menu: menu(B, A), rollbackQueued: true })),
  "no origin": createStatus(inputs({ origins: new Map(), booted: undefined })),
  "no manifest": createStatus(inputs({ origins: new Map([[A, { ...origin("a"), manifestDigest: undefined }]]) })),
  "image not in the store": createStatus(inputs({}, { imageOf: () => undefined })),
  "three in the menu": createStatus(inputs({ menu: menu(A, B, C) })),
  overlay: createStatus(
    inputs({}, { usrOverlay: { accessMode: "readWrite", persistence: "transient" }, readOnly: true }),
  ),
};

const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);
ajv.addFormat("uint32", {
  type: "number",
  validate: (value: number) => Number.isInteger(value) && value >= 0 && value < 2 ** 32,
});
const validate = ajv.compile(
  JSON.parse(readFileSync(new URL("../../test/vectors/bootc/host-v1.schema.json", import.meta.url), "utf8")),
);

for (const [name, host] of Object.entries(STATES)) {
  test(`createStatus() validates against bootc's schema: ${name}`, () => {
    assert.ok(validate(JSON.parse(JSON.stringify(host))), JSON.stringify(validate.errors));
  });
}

/** Every key of the schema's types that a status can show. */
test("createStatus() has every key of the schema", () => {
  const host = JSON.parse(JSON.stringify(STATES["three in the menu"]));
  const schema = JSON.parse(
    readFileSync(new URL("../../test/vectors/bootc/host-v1.schema.json", import.meta.url), "utf8"),
  );
  const keys = (type: string): string[] => Object.keys(schema.$defs[type].properties).sort();
  assert.deepEqual(Object.keys(host).sort(), Object.keys(schema.properties).sort());
  assert.deepEqual(Object.keys(host.spec).sort(), keys("HostSpec"));
  assert.deepEqual(Object.keys(host.status).sort(), keys("HostStatus"));
  assert.deepEqual(Object.keys(host.status.booted).sort(), keys("BootEntry"));
  assert.deepEqual(Object.keys(host.status.booted.composefs).sort(), keys("BootEntryComposefs"));
  assert.deepEqual(Object.keys(host.status.booted.image).sort(), keys("ImageStatus"));
});

test("createStatus() fills the slots", () => {
  const { spec, status } = createStatus(inputs(STAGED));
  assert.equal(status.type, "bootcHost");
  assert.deepEqual(spec, {
    image: { image: "podman.example.com:5000/os:deploy", transport: "registry" },
    bootOrder: "default",
  });
  assert.equal(status.staged?.composefs.verity, C);
  assert.equal(status.booted?.composefs.verity, A);
  assert.equal(status.rollback?.composefs.verity, B);
  assert.deepEqual(status.booted?.composefs, {
    verity: A,
    bootType: "Bls",
    bootloader: "systemd",
    bootDigest: "1".repeat(64),
    missingVerityAllowed: false,
  });
  assert.equal(status.rollback?.composefs.missingVerityAllowed, true);
  assert.equal(status.booted?.image?.timestamp, "2025-02-12T10:11:00.087146497Z");
  assert.equal(status.booted?.image?.imageDigest, digest("a"));
  assert.equal(createStatus(inputs({ menu: menu(B, A), rollbackQueued: true })).spec.bootOrder, "rollback");
});

test("onlyBooted() empties the other slots", () => {
  const { status } = onlyBooted(createStatus(inputs(STAGED)));
  assert.equal(status.staged, null);
  assert.equal(status.rollback, null);
  assert.equal(status.booted?.composefs.verity, A);
});

const VIEWS: readonly [name: string, host: HostObject, text: string][] = [
  [
    "one image",
    createStatus(inputs()),
    `No staged image present
Current booted image: podman.example.com:5000/os:deploy
    Image version: 9.20250109.0 (2025-02-12 10:11:00.087146497 UTC)
    Image digest: ${digest("a")}
No rollback image present`,
  ],
  [
    "three images",
    createStatus(inputs(STAGED)),
    ["staged c", "booted a", "rollback b"]
      .map((words) => words.split(" "))
      .map(
        ([slot, letter = ""]) => `Current ${slot} image: podman.example.com:5000/os:deploy
    Image version: 9.20250109.0 (2025-02-12 10:11:00.087146497 UTC)
    Image digest: ${digest(letter)}`,
      )
      .join("\n"),
  ],
  [
    "a queued rollback",
    createStatus(inputs({ menu: menu(B, A), rollbackQueued: true }, { imageOf: () => undefined })),
    `No staged image present
Current booted image: podman.example.com:5000/os:deploy
    Image digest: ${digest("a")}
Current rollback image: podman.example.com:5000/os:deploy
    Image digest: ${digest("b")}
Next boot: rollback deployment`,
  ],
  ["no deployment", EMPTY_HOST, "System is not deployed via bootc."],
];

for (const [name, host, text] of VIEWS) {
  test(`formatStatus() shows ${name} as the tutorial does`, () =>
    assert.equal(formatStatus(host, { verbose: false, booted: false }), text));
}

test("formatStatus() with --verbose and --booted shows the boot entry", () => {
  const text = formatStatus(STATES["overlay"] ?? EMPTY_HOST, { verbose: true, booted: true });
  assert.match(text, new RegExp(`^    Verity: ${A}$`, "m"));
  assert.match(text, /^    Boot type: Bls \(systemd\)$/m);
  assert.match(text, /^    \/usr overlay: transient, read\/write$/m);
  assert.doesNotMatch(text, /staged|rollback/);
});

test("formatTimestamp() keeps the fraction", () => {
  assert.equal(formatTimestamp("2025-02-12T10:11:00Z"), "2025-02-12 10:11:00 UTC");
});

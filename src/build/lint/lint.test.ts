import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeEntry } from "../../host/fake.ts";
import { isFailure } from "../../core/failure.ts";
import { countFailed, formatLint, formatLintList, LINT_RULES, type LintResult, lintRoot } from "./lint.ts";
import { openLintRoot } from "./lint-root.ts";

type Entries = Readonly<Record<string, FakeEntry>>;

const GOOD: Entries = {
  "/boot": { directory: true },
  "/dev": { directory: true },
  "/etc/group": "root:x:0:\nweb:x:33:\n",
  "/etc/passwd": "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n",
  "/proc": { directory: true },
  "/run": { directory: true },
  "/sys": { directory: true },
  "/sysroot": { directory: true },
  "/tmp": { directory: true },
  "/usr/lib/modules/6.12.5/vmlinuz": "k",
  "/usr/lib/sysusers.d/web.conf": 'u web 33 "Web server" /\n',
  "/usr/lib/tmpfiles.d/var.conf":
    "d /var/lib/app 0755 root root - -\n# comment\nL /var/link - - - - target\nx /var/tmp/keep\nC+ /var/lib/copied - - - - /usr/share/copied\n",
  "/var/lib/app": { directory: true },
  "/var/lib/copied": "c",
  "/var/link": { symlink: "target" },
};

/** Lints a tree at /, or below /image. */
function lint(
  changes: Entries,
  options: { running?: boolean; skip?: readonly string[]; without?: readonly string[] } = {},
): LintResult {
  const prefix = options.running === true ? "" : "/image";
  const wanted = Object.entries({ ...GOOD, ...changes }).filter(([path]) => !(options.without ?? []).includes(path));
  const host = createFakeHost({
    volatile: [],
    files: Object.fromEntries(wanted.map(([path, entry]) => [`${prefix}${path}`, entry])),
  });
  return lintRoot(openLintRoot(host.files, prefix === "" ? "/" : prefix), { skip: options.skip ?? [], truncate: true });
}

test("a good image passes every lint, as / and as a tree elsewhere", () => {
  assert.deepEqual(lint({}, { running: true }), { passed: 14, skipped: 1, findings: [] });
  assert.deepEqual(lint({}), { passed: 14, skipped: 1, findings: [] });
});

const failing: readonly (readonly [
  name: string,
  type: "fatal" | "warning",
  changes: Entries,
  message: RegExp,
  without?: readonly string[],
])[] = [
  ["api-base-directories", "fatal", {}, /^Missing API filesystem base directory: \/proc \/sys$/, ["/proc", "/sys"]],
  ["var-run", "fatal", { "/var/run": { directory: true } }, /^Not a symlink: \/var\/run$/],
  ["etc-usretc", "fatal", { "/usr/etc/x": "" }, /\/usr\/etc/],
  [
    "bootc-kargs",
    "fatal",
    { "/usr/lib/bootc/kargs.d/10.toml": "kargs = [1]" },
    /10\.toml.*kargs is no array of strings/,
  ],
  ["bootc-kargs", "fatal", { "/usr/lib/bootc/kargs.d/10.toml": "kargs = []\nother = 1" }, /unknown key "other"/],
  ["kernel", "fatal", { "/usr/lib/modules/6.13.0/vmlinuz": "k" }, /^Found more than one kernel: 6\.12\.5 6\.13\.0$/],
  ["utf8", "fatal", { "/usr/share/\xff": "" }, /^Found non-utf8 filename: \/usr\/share\//],
  ["utf8", "fatal", { "/usr/share/x": { symlink: "\xfe" } }, /^Found non-utf8 symlink target: \/usr\/share\/x$/],
  ["baseimage-root", "fatal", {}, /^Missing directory: \/sysroot$/, ["/sysroot"]],
  [
    "baseimage-root",
    "fatal",
    { "/ostree": { symlink: "elsewhere" }, "/usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = yes\n" },
    /it links to elsewhere$/,
  ],
  [
    "baseimage-root",
    "fatal",
    { "/sysroot/ostree/x": "", "/etc/ostree/prepare-root.conf": "[root]\ntransient = true\n" },
    /\/ostree is no link/,
  ],
  ["baseimage-composefs", "warning", { "/ostree": { symlink: "sysroot/ostree" } }, /prepare-root\.conf is missing/],
  [
    "baseimage-composefs",
    "warning",
    { "/ostree": { symlink: "sysroot/ostree" }, "/usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = no\n" },
    /does not enable composefs/,
  ],
  [
    "kernel-version",
    "warning",
    { "/usr/lib/modules/6.1.0-20/vmlinuz": "k" },
    /^Kernel 6\.1\.0-20 is older than 6\.6: /,
    ["/usr/lib/modules/6.12.5/vmlinuz"],
  ],
  [
    "kernel-version",
    "warning",
    { "/usr/lib/modules/6.8.0/vmlinuz": "k" },
    /^Kernel 6\.8\.0 is older than 6\.12: /,
    ["/usr/lib/modules/6.12.5/vmlinuz"],
  ],
  [
    "nonempty-boot",
    "warning",
    { "/boot/vmlinuz": "", "/boot/EFI/x": "" },
    /^Found non-empty \/boot:\n {2}\/boot\/vmlinuz$/,
  ],
  ["nonempty-boot", "warning", {}, /^Missing directory: \/boot$/, ["/boot"]],
  ["nonempty-run-tmp", "warning", { "/run/x/y": "", "/tmp/z": "" }, /:\n {2}\/run\/x\n {2}\/tmp\/z$/],
  [
    "nonempty-run-tmp",
    "warning",
    { "/run/systemd/other": "", "/run/systemd/resolve/stub-resolv.conf": "" },
    /:\n {2}\/run\/systemd\/other$/,
  ],
  [
    "buildah-injected",
    "warning",
    { "/etc/hostname": "", "/etc/resolv.conf": "" },
    /\/etc\/hostname \/etc\/resolv\.conf/,
  ],
  [
    "var-log",
    "warning",
    { "/var/log/a.log": "x", "/var/log/empty": "", "/var/log/apt/b.log": "y" },
    /^Found non-empty logfiles:\n {2}\/var\/log\/a\.log\n {2}\/var\/log\/apt\/b\.log$/,
  ],
  [
    "sysusers",
    "warning",
    { "/etc/passwd": "root:x:0:0::/:/bin/sh\nnew:x:1:1::/:/bin/sh\n" },
    /passwd entry without corresponding systemd sysusers\.d:\n {2}new$/,
  ],
  [
    "sysusers",
    "warning",
    { "/etc/group": "root:x:0:\nnewgroup:x:1:\n" },
    /group entry without corresponding systemd sysusers\.d:\n {2}newgroup$/,
  ],
];

for (const [name, type, changes, message, without] of failing) {
  test(`${name} says ${message.source.slice(0, 40)}`, () => {
    const { findings } = lint(changes, { without: without ?? [] });
    assert.deepEqual(
      findings.map((finding) => [finding.name, finding.type]),
      [[name, type]],
    );
    assert.match(findings[0]?.message ?? "", message);
  });
}

test("var-tmpfiles suggests lines, in a running root only", () => {
  const changes: Entries = {
    "/var/lib/new/below": { directory: true },
    "/var/lib/file": "x",
    "/var/new": { symlink: "x" },
  };
  const { findings } = lint(changes, { running: true });
  assert.deepEqual(
    findings.map((finding) => finding.name),
    ["var-tmpfiles"],
  );
  assert.equal(
    findings[0]?.message,
    [
      "Found content in /var missing systemd tmpfiles.d entries:",
      "  d /var/lib/new 0755 0 0 - -",
      "  d /var/lib/new/below 0755 0 0 - -",
      "  L /var/new - - - - x",
      "Found non-directory/non-symlink files in /var:",
      "  /var/lib/file",
    ].join("\n"),
  );
  assert.deepEqual(lint(changes).findings, []);
});

test("ostree images pass with their link and configuration", () => {
  const changes: Entries = {
    "/ostree": { symlink: "sysroot/ostree" },
    "/usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = signed\n",
  };
  assert.deepEqual(lint(changes).findings, []);
});

test("lists are cut after five items", () => {
  const logs = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`/var/log/${i}`, "x"]));
  assert.match(lint(logs).findings[0]?.message ?? "", /\/var\/log\/4\n {2}\.\.\.and 3 more$/);
});

test("skipped lints are counted; unknown names are refused", () => {
  const result = lint({ "/usr/etc/x": "" }, { skip: ["etc-usretc", "kernel"] });
  assert.deepEqual([result.passed, result.skipped, result.findings.length], [12, 3, 0]);
  assert.throws(
    () => lint({}, { skip: ["kernal"] }),
    (error) => isFailure(error, "usage") && error.hint === "did you mean kernel?",
  );
});

test("the report's words are bootc's", () => {
  const result = lint({ "/usr/etc/x": "", "/tmp/x": "" });
  assert.equal(
    formatLint(result),
    "Failed lint: etc-usretc: Found /usr/etc, and /etc exists too; keep configuration in /etc only\n" +
      "Lint warning: nonempty-run-tmp: Found content in runtime-only directories:\n  /tmp/x\nChecks passed: 12\nChecks skipped: 1\nWarnings: 1\n",
  );
  assert.equal(countFailed(result, { fatalWarnings: false }), 1);
  assert.equal(countFailed(result, { fatalWarnings: true }), 2);
});

test("the list has bootc's 14 names and one more", () => {
  assert.equal(LINT_RULES.length, 15);
  assert.match(formatLintList(), /^- name: api-base-directories\n {2}type: fatal\n {2}description: "/);
  assert.match(
    formatLintList(),
    /- name: var-tmpfiles\n {2}type: warning\n {2}description: .*\n {2}root-type: running\n/,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { chooseMirror, openArchive, parseReleaseDate, readAptSettings, readHostSources } from "./archive.ts";
import { findSuite } from "./suites.ts";

const DATES: Readonly<Record<string, string>> = {
  "http://m.example/debian/dists/bookworm/InRelease": "Sat, 11 Jul 2026 10:07:40 UTC",
  "http://m.example/debian/dists/bookworm-updates/InRelease": "Fri, 20 Nov 2026 08:11:39 UTC",
  "http://m.example/debian/dists/bookworm-backports/InRelease": "Sat, 21 Nov 2026 02:10:00 UTC",
  "http://m.example/debian-security/dists/bookworm-security/InRelease": "Thu, 19 Nov 2026 00:00:00 UTC",
  "http://m.example/debian/dists/trixie/InRelease": "Sat, 11 Jul 2026 10:07:40 UTC",
};

/** A host whose apt-helper has what `uris` names. */
function mirrorHost(uris: readonly string[]): FakeHost {
  const host: FakeHost = createFakeHost({
    files: { "/scratch": { directory: true } },
    programs: {
      "/usr/lib/apt/apt-helper": ({ argv }) => {
        const [uri = "", target = ""] = argv.slice(-2);
        if (!uris.includes(uri))
          return { exitCode: 100, stderr: `W: noise\nE: Failed to fetch ${uri} 404 Not Found\nE: Download Failed\n` };
        host.files.write(target, `Origin: Debian\nDate: ${DATES[uri]}\n`);
        return {};
      },
    },
  });
  return host;
}

const MIRROR = { archive: "http://m.example/debian", security: "http://m.example/debian-security" };
const open = (host: FakeHost, suite: string): ReturnType<typeof openArchive> =>
  openArchive(host, { mirror: MIRROR, suite: findSuite(suite), scratch: "/scratch" });

test("openArchive() finds all suites and the date of the newest", async () => {
  const archive = await open(mirrorHost(Object.keys(DATES)), "bookworm");
  assert.deepEqual(
    archive.suites.map(({ suite }) => suite),
    ["bookworm", "bookworm-backports", "bookworm-updates", "bookworm-security"],
  );
  assert.equal(archive.dateSec, Date.UTC(2026, 10, 21, 2, 10) / 1000);
});

test("openArchive() does without updates and security, and needs no backports where the suite has the kernel", async () => {
  const archive = await open(mirrorHost(["http://m.example/debian/dists/trixie/InRelease"]), "trixie");
  assert.deepEqual(
    archive.suites.map(({ suite }) => suite),
    ["trixie"],
  );
});

test("openArchive() says that the mirror lacks the suite", async () => {
  await assert.rejects(
    open(mirrorHost([]), "trixie"),
    (error) => isFailure(error, "not-found") && error.message.includes('"trixie"'),
  );
});

test("openArchive() says that the mirror lacks the backports that the kernel comes from", async () => {
  const host = mirrorHost(Object.keys(DATES).filter((uri) => !uri.includes("backports")));
  await assert.rejects(
    open(host, "bookworm"),
    (error) =>
      isFailure(error, "not-found") &&
      error.message.includes('"bookworm-backports"') &&
      /kernel 6\.12/.test(error.hint ?? ""),
  );
});

test("parseReleaseDate() rejects a file without a date", () => {
  assert.throws(() => parseReleaseDate("Origin: Debian\n"), SyntaxError);
  assert.throws(() => parseReleaseDate("Date: soon\n"), SyntaxError);
});

test("chooseMirror() takes the host's, or the one named", () => {
  const host = createFakeHost({
    files: {
      "/etc/apt/sources.list":
        "deb http://a.example/debian stable main\ndeb http://s.example/sec stable-security main\n",
    },
  });
  assert.deepEqual(chooseMirror(host, {}), { archive: "http://a.example/debian", security: "http://s.example/sec" });
  assert.deepEqual(chooseMirror(host, { mirror: "http://b.example/debian" }), {
    archive: "http://b.example/debian",
    security: "http://b.example/debian-security",
  });
  assert.deepEqual(chooseMirror(host, { mirror: "http://b.example/pkgs", securityMirror: "http://c.example/s" }), {
    archive: "http://b.example/pkgs",
    security: "http://c.example/s",
  });
});

test("chooseMirror() says that the host's apt names none", () => {
  assert.throws(
    () => chooseMirror(createFakeHost(), {}),
    (error) => isFailure(error, "not-found") && /--mirror/.test(error.hint ?? ""),
  );
});

test("readHostSources() reads what apt reads and names a broken file", () => {
  const host = createFakeHost({
    files: {
      "/etc/apt/sources.list.d/a.sources":
        "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nComponents: main\n",
      "/etc/apt/sources.list.d/b.list.save": "nonsense\n",
      "/etc/apt/sources.list.d/c.list": "deb http://c.example/x y main\n",
    },
  });
  assert.deepEqual(
    readHostSources(host).map(({ uris }) => uris[0]),
    ["http://a.example/debian", "http://c.example/x"],
  );
  host.files.write("/etc/apt/sources.list.d/d.list", "rpm http://x\n");
  assert.throws(
    () => readHostSources(host),
    (error) => isFailure(error, "bad-input") && /d\.list.*line 1/.test(error.message),
  );
});

test("readAptSettings() gives the image what says how old an archive may be, and the build also the proxies", async () => {
  const dump =
    'Acquire::Check-Valid-Until "false";\nAcquire::http::Proxy "http://proxy.example:3128";\nAPT::Architecture "amd64";\n';
  const host = createFakeHost({ programs: { "apt-config": () => ({ stdout: dump }) } });
  assert.deepEqual(await readAptSettings(host), {
    image: ['Acquire::Check-Valid-Until "false";'],
    build: ['Acquire::http::Proxy "http://proxy.example:3128";'],
  });
});

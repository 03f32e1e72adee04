import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/failure.ts";
import { findMirror, parseAptSettings, parseMirror, parseSourceLines, parseSourceStanzas } from "./apt-sources.ts";

const STANZAS = `# the archive
Types: deb deb-src
# a note in between
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abcd
 -----END PGP PUBLIC KEY BLOCK-----
`;

test("parseSourceStanzas() reads fields, continuation lines and comments, and leaves out what is disabled", () => {
  const sources = parseSourceStanzas(STANZAS);
  assert.equal(sources.length, 2);
  assert.deepEqual(sources[0], {
    types: ["deb", "deb-src"],
    uris: ["http://mirror.example/debian/"],
    suites: ["bookworm", "bookworm-updates"],
    components: ["main", "contrib"],
    signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
  });
  assert.match(sources[1]?.signedBy ?? "", /^-----BEGIN/);
});

test("parseSourceStanzas() names the line that is no field", () => {
  assert.throws(() => parseSourceStanzas("Types: deb\nnonsense\n"), /line 2/);
  assert.throws(() => parseSourceStanzas(" continued\n"), /line 1/);
});

test("parseSourceLines() reads options and comments", () => {
  assert.deepEqual(
    parseSourceLines("# none\ndeb [arch=amd64 signed-by=/k.gpg] https://m.example/debian trixie main non-free # end\n"),
    [
      {
        types: ["deb"],
        uris: ["https://m.example/debian"],
        suites: ["trixie"],
        components: ["main", "non-free"],
        signedBy: "/k.gpg",
      },
    ],
  );
  assert.deepEqual(parseSourceLines("deb file:/repo ./\n")[0]?.components, []);
});

test("parseSourceLines() names the line that it cannot read", () => {
  for (const bad of ["deb", "rpm http://x y z", "deb [arch=amd64 http://x y z", "deb http://x"]) {
    assert.throws(() => parseSourceLines(`deb http://m.example/debian sid main\n${bad}\n`), /line 2/, bad);
  }
});

test("findMirror() knows Debian's archive by its suites", () => {
  const other = parseSourceLines(
    "deb https://packages.example/node nodistro main\ndeb-src http://src.example/debian bookworm main",
  );
  assert.equal(findMirror(other), undefined);
  assert.deepEqual(findMirror([...other, ...parseSourceStanzas(STANZAS)]), {
    archive: "http://mirror.example/debian",
    security: "http://mirror.example/debian-security",
  });
  assert.deepEqual(findMirror(parseSourceLines("deb http://m.example/debian stable main")), {
    archive: "http://m.example/debian",
    security: undefined,
  });
});

test("parseMirror() takes a URL and nothing else", () => {
  assert.equal(parseMirror("http://m.example/debian//"), "http://m.example/debian");
  for (const bad of ["", "m.example/debian", "http://a b/debian", "gopher://x/y"]) {
    assert.throws(
      () => parseMirror(bad),
      (error) => isFailure(error, "usage"),
      bad,
    );
  }
});

test("parseAptSettings() reads what apt-config dumps", () => {
  const settings = parseAptSettings(
    'Acquire "";\nAcquire::Check-Valid-Until "false";\nAcquire::Languages:: "none";\nbroken\n',
  );
  assert.equal(settings.get("Acquire::Check-Valid-Until"), "false");
  assert.equal(settings.has("broken"), false);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { parseImageRef } from "../oci/reference.ts";
import { suggestFullNames } from "./short-names.ts";
import { parseRegistriesConf, pullEndpoints, pushEndpoint, readRegistriesConf } from "./registries-conf.ts";

function pulls(text: string, name: string): string[] {
  return pullEndpoints(parseRegistriesConf(text), parseImageRef(name)).map(
    ({ host, path, insecure, isMirror }) => `${host}/${path}${insecure ? " insecure" : ""}${isMirror ? " mirror" : ""}`,
  );
}
const digest = `sha256:${"a".repeat(64)}`;

for (const [name, text, ref, wanted] of [
  ["without rules a name is itself", "", "r.io/a/b:1", ["r.io/a/b"]],
  [
    "insecure counts for the whole registry",
    '[[registry]]\nlocation="r.io:5000"\ninsecure=true',
    "r.io:5000/a/b",
    ["r.io:5000/a/b insecure"],
  ],
  [
    "a host without a port counts for every port of it",
    '[[registry]]\nlocation="r.io"\ninsecure=true',
    "r.io:5000/a",
    ["r.io:5000/a insecure"],
  ],
  [
    "a prefix is rewritten to its location",
    '[[registry]]\nprefix="r.io/team"\nlocation="in.lan:5000/x"',
    "r.io/team/os:1",
    ["in.lan:5000/x/os"],
  ],
  [
    "a prefix ends at a slash",
    '[[registry]]\nprefix="r.io/team"\nlocation="in.lan"',
    "r.io/teams/os",
    ["r.io/teams/os"],
  ],
  [
    "the longest prefix wins",
    '[[registry]]\nlocation="r.io"\nblocked=true\n[[registry]]\nprefix="r.io/ok"\nlocation="r.io/ok"',
    "r.io/ok/a",
    ["r.io/ok/a"],
  ],
  ["a wildcard matches subdomains", '[[registry]]\nprefix="*.r.io"\nlocation="in.lan"', "a.b.r.io/x/y", ["in.lan/x/y"]],
  [
    "a wildcard without location keeps the name",
    '[[registry]]\nprefix="*.r.io"\ninsecure=true',
    "a.r.io/x",
    ["a.r.io/x insecure"],
  ],
  [
    "mirrors come first, in order",
    '[[registry]]\nlocation="r.io"\n[[registry.mirror]]\nlocation="m1.lan"\ninsecure=true\n[[registry.mirror]]\nlocation="m2.lan/r"',
    "r.io/a:1",
    ["m1.lan/a insecure mirror", "m2.lan/r/a mirror", "r.io/a"],
  ],
  [
    "digest-only mirrors do not serve tags",
    '[[registry]]\nlocation="r.io"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="m.lan"',
    "r.io/a:1",
    ["r.io/a"],
  ],
  [
    "digest-only mirrors serve digests",
    '[[registry]]\nlocation="r.io"\n[[registry.mirror]]\nlocation="m.lan"\npull-from-mirror="digest-only"',
    `r.io/a@${digest}`,
    ["m.lan/a mirror", "r.io/a"],
  ],
  [
    "tag-only mirrors do not serve digests",
    '[[registry]]\nlocation="r.io"\n[[registry.mirror]]\nlocation="m.lan"\npull-from-mirror="tag-only"',
    `r.io/a@${digest}`,
    ["r.io/a"],
  ],
  [
    "a wildcard with a location keeps docker.io's library",
    '[[registry]]\nprefix="*.io"\nlocation="in.lan/hub"',
    "docker.io/debian:12",
    ["in.lan/hub/library/debian"],
  ],
  ["a wildcard does not match the domain itself", '[[registry]]\nprefix="*.r.io"\ninsecure=true', "r.io/x", ["r.io/x"]],
  [
    "a wildcard matches at any port",
    '[[registry]]\nprefix="*.r.io"\ninsecure=true',
    "a.r.io:5000/x",
    ["a.r.io:5000/x insecure"],
  ],
  [
    "a prefix may name one image",
    '[[registry]]\nprefix="r.io/os"\nlocation="in.lan/os"\n[[registry]]\nprefix="r.io/os:1"\nlocation="old.lan/os"',
    "r.io/os:2",
    ["in.lan/os"],
  ],
  [
    "mirrors take part of the pulls each",
    '[[registry]]\nlocation="r.io"\n[[registry.mirror]]\nlocation="t.lan"\npull-from-mirror="tag-only"\n[[registry.mirror]]\nlocation="a.lan"\npull-from-mirror="all"\n[[registry.mirror]]\nlocation="d.lan"\npull-from-mirror="digest-only"',
    "r.io/a:1",
    ["t.lan/a mirror", "a.lan/a mirror", "r.io/a"],
  ],
  [
    "one-part names of docker.io are below library",
    '[[registry]]\nprefix="docker.io/library"\nlocation="hub.lan"',
    "docker.io/debian:12",
    ["hub.lan/debian"],
  ],
] as const) {
  test(name, () => assert.deepEqual(pulls(text, ref), wanted));
}

test("a blocked registry can be neither pulled from nor pushed to; rewrites do not count for pushes", () => {
  const conf = parseRegistriesConf(
    '[[registry]]\nlocation="bad.io"\nblocked=true\n[[registry]]\nprefix="r.io"\nlocation="in.lan"\ninsecure=true',
  );
  for (const work of [pullEndpoints, pushEndpoint]) {
    assert.throws(
      () => work(conf, parseImageRef("bad.io/a")),
      (error) => isFailure(error, "denied") && /blocks "bad.io"/.test(error.message),
    );
  }
  assert.deepEqual(pushEndpoint(conf, parseImageRef("r.io/a:1")), {
    host: "r.io",
    path: "a",
    insecure: true,
    isMirror: false,
  });
});

for (const [name, text, ref, wanted] of [
  [
    "a mirror without a path for a prefix that is the repository",
    '[[registry]]\nprefix="quay.io/team/os"\n[[registry.mirror]]\nlocation="mirror.example:5000"',
    "quay.io/team/os:1",
    /location "mirror.example:5000" of prefix "quay.io\/team\/os" .* makes "mirror.example:5000", wanted HOST\/REPOSITORY/,
  ],
  [
    "a location without a path",
    '[[registry]]\nprefix="quay.io/team/os"\nlocation="mirror.example"',
    `quay.io/team/os@${digest}`,
    /makes "mirror.example"/,
  ],
  [
    "a location with a tag",
    '[[registry]]\nprefix="r.io/os"\nlocation="in.lan/os:1"',
    "r.io/os",
    /makes "in.lan\/os:1"/,
  ],
  ["upper case", '[[registry]]\nprefix="r.io"\nlocation="in.lan/Team"', "r.io/os", /makes "in.lan\/Team\/os"/],
] as const) {
  test(`${name} names no repository, and nothing else is contacted`, () => {
    assert.throws(
      () => pulls(text, ref),
      (error) => isFailure(error, "bad-input") && wanted.test(error.message),
    );
  });
}

test("a mirror without a path serves what is below the prefix", () => {
  const text = '[[registry]]\nprefix="quay.io/team"\n[[registry.mirror]]\nlocation="mirror.example:5000"';
  assert.deepEqual(pulls(text, "quay.io/team/os:1"), ["mirror.example:5000/os mirror", "quay.io/team/os"]);
});

for (const [name, text] of [
  ["version 1", '[registries.search]\nregistries=["a"]'],
  ["no location", "[[registry]]\ninsecure=true"],
  ["a wildcard in the middle", '[[registry]]\nprefix="a.*.io"'],
  ["a wildcard with a path", '[[registry]]\nprefix="*.io/x"'],
  ["a mirror without location", '[[registry]]\nlocation="a"\n[[registry.mirror]]\ninsecure=true'],
  [
    "a wrong pull-from-mirror",
    '[[registry]]\nlocation="a"\n[[registry.mirror]]\nlocation="b"\npull-from-mirror="some"',
  ],
  [
    "both ways to say which pulls a mirror takes",
    '[[registry]]\nlocation="a"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="b"\npull-from-mirror="all"',
  ],
  ["blocked that is no boolean", '[[registry]]\nlocation="a"\nblocked="yes"'],
  ["insecure that is no boolean", '[[registry]]\nlocation="a"\ninsecure=1'],
  ["one prefix blocked and not", '[[registry]]\nlocation="a"\n[[registry]]\nprefix="a"\nblocked=true'],
  ["one prefix secure and not", '[[registry]]\nprefix="a"\ninsecure=true\n[[registry]]\nprefix="a/"'],
  ["an unknown short-name-mode", 'short-name-mode="guess"'],
  ["search registries that are no list", 'unqualified-search-registries="docker.io"'],
  ["an alias that is no text", "[aliases]\nos=1"],
  ["no TOML", "[[registry"],
] as const) {
  test(`a file with ${name} is an error that names it`, () => {
    const host = createFakeHost({ files: { "/etc/containers/registries.conf": text } });
    assert.throws(
      () => readRegistriesConf(host),
      (error) => isFailure(error, "bad-input") && error.message.includes("registries.conf"),
    );
  });
}

test("drop-ins replace rules of the same prefix, in order; a user's main file hides the system's", () => {
  const rule = (location: string, insecure: boolean): string =>
    `[[registry]]\nprefix="r.io"\nlocation="${location}"\ninsecure=${insecure}\n`;
  const files = {
    "/etc/containers/registries.conf": rule("main.lan", false),
    "/etc/containers/registries.conf.d/20.conf": rule("twenty.lan", true),
    "/etc/containers/registries.conf.d/10.conf": rule("ten.lan", false),
    "/etc/containers/registries.conf.d/30.txt": rule("ignored.lan", false),
  };
  const location = (extra: Record<string, string>, env: Record<string, string> = { HOME: "/h" }): string | undefined =>
    pullEndpoints(
      readRegistriesConf(createFakeHost({ files: { ...files, ...extra }, env })),
      parseImageRef("r.io/a"),
    )[0]?.host;
  assert.equal(location({}), "twenty.lan");
  assert.equal(location({ "/h/.config/containers/registries.conf.d/1.conf": rule("user.lan", false) }), "user.lan");
  assert.equal(location({ "/h/.config/containers/registries.conf": "" }), "r.io");
  assert.equal(location({ "/x.conf": "" }, { CONTAINERS_REGISTRIES_CONF: "/x.conf" }), "twenty.lan");
});

test("a short name suggests its alias, else one name for each registry that is searched", () => {
  const files = {
    "/etc/containers/registries.conf":
      'unqualified-search-registries=["q.io", "docker.io"]\nshort-name-mode="enforcing"\n',
    "/etc/containers/registries.conf.d/10.conf":
      '[aliases]\nos="r.io/team/os"\ngone="r.io/gone"\n"team/web"="w.io/web"\n',
    "/etc/containers/registries.conf.d/20.conf": '[aliases]\ngone=""\n',
    "/var/cache/containers/short-name-aliases.conf": '[aliases]\n"chosen"="c.io/chosen"\n',
  };
  const suggest = (text: string): readonly string[] =>
    suggestFullNames(createFakeHost({ files, user: { uid: 0, gid: 0 } }), text);
  assert.deepEqual(suggest("os:13"), ["r.io/team/os:13"]);
  assert.deepEqual(suggest("team/web"), ["w.io/web:latest"]);
  assert.deepEqual(suggest("chosen"), ["c.io/chosen:latest"]);
  assert.deepEqual(suggest("gone:1"), ["q.io/gone:1", "docker.io/library/gone:1"]);
  assert.deepEqual(suggest(`debian@${digest}`), [`q.io/debian@${digest}`, `docker.io/library/debian@${digest}`]);
  for (const text of ["", "UPPER", ":1", "a b"]) assert.deepEqual(suggest(text), []);
  assert.deepEqual(suggestFullNames(createFakeHost(), "os"), []);
});

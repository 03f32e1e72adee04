import assert from "node:assert/strict";
import { test } from "node:test";
import { byteNameToText } from "../core/bytes.ts";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { createIgnoreRules } from "../containerfile/ignore.ts";
import { readContainerfile } from "../containerfile/stages.ts";
import type { TarInput } from "../format/tar/write.ts";
import { createFakeHost, type FakeEntry } from "../host/fake.ts";
import type { Host } from "../host/host.ts";
import { copyMembers } from "./copy-layer.ts";
import { planBuild } from "./plan.ts";
import { digestSources, findSources, type SourceTree } from "./source-tree.ts";
import type { CopyAction } from "./step.ts";

const CONTEXT: Readonly<Record<string, FakeEntry>> = {
  "/ctx/a.txt": { content: "a", mode: 0o640, uid: 1000, gid: 1000 },
  "/ctx/b.txt": "b",
  "/ctx/run.sh": { content: "#!", mode: 0o755 },
  "/ctx/dir/one": "1",
  "/ctx/dir/sub/two": "2",
  "/ctx/dir/link": { symlink: "one" },
  "/ctx/empty": { directory: true },
  "/ctx/tofile": { symlink: "dir/one" },
  "/ctx/outside": { symlink: "../../../etc/passwd" },
  "/ctx/etc/passwd": "inside",
  "/ctx/sp ace": "s",
  "/ctx/x[1]": "bracket",
};

const IMAGE: Readonly<Record<string, FakeEntry>> = {
  "/img/etc/passwd": "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n",
  "/img/etc/group": "root:x:0:\nstaff:x:50:\n",
  "/img/usr/lib/x": "x",
  "/img/lib": { symlink: "usr/lib" },
  "/img/home": { symlink: "/var/home" },
  "/img/var": { directory: true },
  "/img/tmp": { directory: true, mode: 0o777 },
  "/img/file": "f",
  "/img/dirs/a.txt/x": "x",
};

function actionOf(host: Host, line: string): { action: CopyAction; tree: SourceTree } {
  const file = readContainerfile(`FROM scratch\nWORKDIR /work\n${line}\n`);
  const plan = planBuild(
    {
      fileName: "Containerfile",
      file,
      buildArgs: new Map(),
      target: undefined,
      labels: new Map(),
      annotations: new Map(),
      network: "private",
      secrets: new Map(),
      proxies: new Map(),
      architecture: host.architecture,
      epochSec: undefined,
    },
    () => undefined,
  );
  const action = plan.stages[0]?.steps.at(-1)?.action;
  assert.ok(action?.kind === "copy");
  return { action, tree: { root: "/ctx", rules: createIgnoreRules([]), isImage: false, title: 'build context "."' } };
}

function copy(line: string, ignore: readonly string[] = []): TarInput[] {
  const host = createFakeHost({ files: { ...CONTEXT, ...IMAGE } });
  const { action, tree: whole } = actionOf(host, line);
  const tree = { ...whole, rules: createIgnoreRules(ignore) };
  const found = action.sources.map((source) =>
    source.kind === "heredoc" ? source : { kind: "path" as const, sources: findSources(host.files, tree, source.path) },
  );
  return copyMembers(host.files, { action, tree, found, view: "/img", nowSec: 7 });
}

/** Members without the parents that exist in the image: `path mode uid:gid`. */
function shown(inputs: readonly TarInput[]): string[] {
  const existing = new Set(["var", "tmp", "etc", "usr", "usr/lib", "dirs"]);
  return inputs
    .filter(({ member }) => member.kind !== "directory" || !existing.has(member.path))
    .map(({ member }) => {
      const kind = member.kind === "directory" ? "/" : member.kind === "symlink" ? ` -> ${member.target}` : "";
      return `${byteNameToText(member.path)}${kind} ${member.stat.mode.toString(8)} ${member.stat.uid}:${member.stat.gid}`;
    });
}

const table: readonly (readonly [line: string, wanted: readonly string[]])[] = [
  ["COPY a.txt /new", ["new 640 0:0"]],
  ["COPY a.txt /new/", ["new/ 755 0:0", "new/a.txt 640 0:0"]],
  ["COPY a.txt /tmp", ["tmp/a.txt 640 0:0"]],
  ["COPY a.txt rel", ["work/ 755 0:0", "work/rel 640 0:0"]],
  ["COPY a.txt .", ["work/ 755 0:0", "work/a.txt 640 0:0"]],
  ["COPY a.txt b.txt /d/e/", ["d/ 755 0:0", "d/e/ 755 0:0", "d/e/a.txt 640 0:0", "d/e/b.txt 644 0:0"]],
  ["COPY *.txt /d/", ["d/ 755 0:0", "d/a.txt 640 0:0", "d/b.txt 644 0:0"]],
  ["COPY d*/one /d/", ["d/ 755 0:0", "d/one 644 0:0"]],
  ["COPY **/two /d/", ["d/ 755 0:0", "d/two 644 0:0"]],
  ["COPY dir /d", ["d/ 755 0:0", "d/link -> one 777 0:0", "d/one 644 0:0", "d/sub/ 755 0:0", "d/sub/two 644 0:0"]],
  ["COPY dir/ /d/", ["d/ 755 0:0", "d/link -> one 777 0:0", "d/one 644 0:0", "d/sub/ 755 0:0", "d/sub/two 644 0:0"]],
  ["COPY dir/sub empty /d/", ["d/ 755 0:0", "d/two 644 0:0"]],
  ["COPY empty /d", ["d/ 755 0:0"]],
  ["COPY tofile /d", ["d 644 0:0"]],
  ["COPY outside /d", ["d 644 0:0"]],
  ["COPY ../../../a.txt /d", ["d 640 0:0"]],
  ["COPY /a.txt /d", ["d 640 0:0"]],
  ['COPY ["sp ace", "/d/"]', ["d/ 755 0:0", "d/sp ace 644 0:0"]],
  ["COPY x[[]1] /d/", ["d/ 755 0:0", "d/x[1] 644 0:0"]],
  ["COPY a.txt /lib/y", ["usr/lib/y 640 0:0"]],
  [
    "COPY dir /lib",
    ["usr/lib/link -> one 777 0:0", "usr/lib/one 644 0:0", "usr/lib/sub/ 755 0:0", "usr/lib/sub/two 644 0:0"],
  ],
  ["COPY a.txt /home/u/", ["var/home/ 755 0:0", "var/home/u/ 755 0:0", "var/home/u/a.txt 640 0:0"]],
  ["COPY a.txt /file", ["file 640 0:0"]],
  ["COPY --chown=5:6 dir/one /d/", ["d/ 755 0:0", "d/one 644 5:6"]],
  ["COPY --chown=web a.txt /d", ["d 640 33:34"]],
  ["COPY --chown=web:staff a.txt /d", ["d 640 33:50"]],
  ["COPY --chown=web empty /d", ["d/ 755 33:34"]],
  ["COPY --chmod=0600 dir/sub /d", ["d/ 755 0:0", "d/two 600 0:0"]],
  ["COPY --chmod=u=rwX,go=rX run.sh /d", ["d 755 0:0"]],
  ["COPY --exclude=sub --exclude=link dir /d", ["d/ 755 0:0", "d/one 644 0:0"]],
  ["COPY --exclude=*.txt a.txt run.sh /d/", ["d/ 755 0:0", "d/run.sh 755 0:0"]],
  ["COPY --parents dir/sub/two /d/", ["d/ 755 0:0", "d/dir/ 755 0:0", "d/dir/sub/ 755 0:0", "d/dir/sub/two 644 0:0"]],
  ["COPY --parents dir/./sub/two /d/", ["d/ 755 0:0", "d/sub/ 755 0:0", "d/sub/two 644 0:0"]],
  ["COPY --parents dir/sub /d/", ["d/ 755 0:0", "d/dir/ 755 0:0", "d/dir/sub/ 755 0:0", "d/dir/sub/two 644 0:0"]],
  ["COPY <<one.conf /d/\nx\none.conf", ["d/ 755 0:0", "d/one.conf 644 0:0"]],
  ["COPY --chmod=755 --chown=1 <<one /d\nx\none", ["d 755 1:1"]],
];

for (const [line, wanted] of table)
  test(line.replaceAll("\n", "\\n"), () => assert.deepEqual(shown(copy(line)), wanted));

test("parents that exist come along as they are", () => {
  const parents = copy("COPY a.txt /tmp/x").filter(({ member }) => member.kind === "directory");
  assert.deepEqual(
    parents.map(({ member }) => [member.path, member.stat.mode]),
    [["tmp", 0o777]],
  );
});

test("times: files keep theirs, what is made new has the build's", () => {
  const members = copy("COPY <<x /d/\n1\nx");
  assert.deepEqual(
    members.map(({ member }) => member.stat.mtimeSec),
    [7, 7],
  );
});

test("content arrives", async () => {
  const input = copy("COPY outside /d")[0];
  assert.ok(input?.content !== undefined);
  const content = input.content instanceof Uint8Array ? streamOf(input.content) : input.content;
  assert.equal((await collectBytes(content)).toString(), "inside");
});

test("ignore rules hide files, exceptions show them", () => {
  assert.deepEqual(shown(copy("COPY . /d/", ["*", "!dir/sub"])), [
    "d/ 755 0:0",
    "d/dir/ 755 0:0",
    "d/dir/sub/ 755 0:0",
    "d/dir/sub/two 644 0:0",
  ]);
  assert.deepEqual(shown(copy("COPY *.txt /d/", ["a.txt"])), ["d/ 755 0:0", "d/b.txt 644 0:0"]);
});

const refused: readonly (readonly [line: string, code: string, message: RegExp, ignore?: readonly string[]])[] = [
  ["COPY nosuch /d", "not-found", /Cannot copy "nosuch": there is no such file in the build context "\."/],
  ["COPY *.md /d/", "not-found", /nothing in the build context "\." matches/],
  ["COPY a.txt /d", "not-found", /an ignore rule excludes it/, ["a.txt"]],
  ["COPY dir /file", "conflict", /"\/file": it is no directory in the image/],
  ["COPY a.txt /file/x", "conflict", /"\/file" is no directory/],
  ["COPY a.txt /dirs/", "conflict", /"\/dirs\/a\.txt": it is a directory in the image/],
  ["COPY a.txt /d/.wh.x", "bad-input", /names that begin with \.wh\./],
  ["COPY --chown=nosuch a.txt /d", "not-found", /user "nosuch"/],
  ["COPY --chown=web:nosuch a.txt /d", "not-found", /group "nosuch"/],
];

for (const [line, code, message, ignore] of refused) {
  test(`${line} is refused`, () => {
    assert.throws(
      () => copy(line, ignore),
      (error) => isFailure(error) && error.code === code && message.test(error.message),
    );
  });
}

test("digestSources() knows names, modes and content, not times and owners", () => {
  const digest = (change: (host: Host) => void): string => {
    const host = createFakeHost({ files: CONTEXT });
    change(host);
    const { tree } = actionOf(host, "COPY dir /d");
    return digestSources(host.files, tree, findSources(host.files, tree, "dir"), []);
  };
  const plain = digest(() => undefined);
  assert.equal(
    digest(({ files }) => files.setTimes("/ctx/dir/one", 5, 0)),
    plain,
  );
  assert.equal(
    digest(({ files }) => files.chown("/ctx/dir/one", 5, 5)),
    plain,
  );
  assert.notEqual(
    digest(({ files }) => files.chmod("/ctx/dir/one", 0o600)),
    plain,
  );
  assert.notEqual(
    digest(({ files }) => files.write("/ctx/dir/one", "2")),
    plain,
  );
  assert.notEqual(
    digest(({ files }) => files.write("/ctx/dir/new", "")),
    plain,
  );
  assert.notEqual(
    digest(({ files }) => files.rename("/ctx/dir/one", "/ctx/dir/other")),
    plain,
  );
  assert.notEqual(
    digest(({ files }) => files.replaceSymlink("/ctx/dir/link", "two")),
    plain,
  );
});

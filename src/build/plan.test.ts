import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerfileError } from "../containerfile/containerfile-error.ts";
import { readContainerfile } from "../containerfile/stages.ts";
import { isFailure } from "../core/failure.ts";
import type { RunConfig } from "../oci/config.ts";
import type { BuildRequest } from "./build-request.ts";
import { DEFAULT_PATH, imageNames, planBuild } from "./plan.ts";
import type { BuildPlan, CopyAction, RunAction, Step } from "./step.ts";

const BASE: RunConfig = { Env: ["PATH=/bin", "LANG=C"], Cmd: ["/bin/sh"], Labels: { a: "1" }, WorkingDir: "/base" };

function request(text: string, options: Partial<BuildRequest> = {}): BuildRequest {
  return {
    fileName: "Containerfile",
    file: readContainerfile(text),
    buildArgs: new Map(),
    target: undefined,
    labels: new Map(),
    annotations: new Map(),
    network: "private",
    secrets: new Map(),
    proxies: new Map(),
    architecture: "amd64",
    epochSec: undefined,
    ...options,
  };
}

function plan(text: string, options: Partial<BuildRequest> = {}): BuildPlan {
  return planBuild(request(text, options), (name) =>
    name.startsWith("localhost/base") ? { config: BASE, architecture: "amd64" } : undefined,
  );
}

function lastSteps(text: string, options: Partial<BuildRequest> = {}): readonly Step[] {
  return plan(text, options).stages.at(-1)?.steps ?? [];
}

function finalConfig(body: string, options: Partial<BuildRequest> = {}): RunConfig {
  return lastSteps(`FROM localhost/base\n${body}`, options).at(-1)?.config ?? {};
}

function runAction(body: string, options: Partial<BuildRequest> = {}): RunAction {
  const action = lastSteps(`FROM localhost/base\n${body}`, options).findLast(
    (step) => step.action.kind === "run",
  )?.action;
  assert.ok(action?.kind === "run");
  return action;
}

function copyAction(body: string): CopyAction {
  const action = lastSteps(`FROM localhost/base\n${body}`).findLast((step) => step.action.kind === "copy")?.action;
  assert.ok(action?.kind === "copy");
  return action;
}

const configs: readonly (readonly [
  body: string,
  wanted: { readonly [Key in keyof RunConfig]?: RunConfig[Key] | undefined },
])[] = [
  ["ENV A=1 B=$A", { Env: ["PATH=/bin", "LANG=C", "A=1", "B="] }],
  ["ENV A=1\nENV B=$A LANG=de", { Env: ["PATH=/bin", "LANG=de", "A=1", "B=1"] }],
  ["ENV PATH=$PATH:/x", { Env: ["PATH=/bin:/x", "LANG=C"] }],
  ["ARG V=2\nENV A=$V", { Env: ["PATH=/bin", "LANG=C", "A=2"] }],
  ["ENV V=env\nARG V=arg\nLABEL v=$V", { Labels: { a: "1", v: "env" } }],
  ["LABEL a=2 \"b c\"='d e'", { Labels: { a: "2", "b c": "d e" } }],
  ["CMD a b", { Cmd: ["/bin/sh", "-c", "a b"] }],
  ['CMD ["a", "b"]', { Cmd: ["a", "b"] }],
  ["CMD []", { Cmd: undefined }],
  ['ENTRYPOINT ["/e"]', { Entrypoint: ["/e"], Cmd: undefined }],
  ['CMD ["c"]\nENTRYPOINT ["/e"]', { Entrypoint: ["/e"], Cmd: ["c"] }],
  ['SHELL ["/bin/bash", "-ec"]\nCMD x', { Cmd: ["/bin/bash", "-ec", "x"] }],
  ["WORKDIR a", { WorkingDir: "/base/a" }],
  ["WORKDIR /a\nWORKDIR b/../c", { WorkingDir: "/a/c" }],
  ["ENV d=/x\nWORKDIR $d/y", { WorkingDir: "/x/y" }],
  ["USER a:b", { User: "a:b" }],
  [
    "ARG p=80\nEXPOSE $p 90/udp 100-101",
    { ExposedPorts: { "80/tcp": {}, "90/udp": {}, "100/tcp": {}, "101/tcp": {} } },
  ],
  ['VOLUME ["/v w"]', { Volumes: { "/v w": {} } }],
  ["STOPSIGNAL SIGRTMIN+3", { StopSignal: "SIGRTMIN+3" }],
];

for (const [body, wanted] of configs) {
  test(`config after ${JSON.stringify(body)}`, () => {
    const config = finalConfig(body);
    for (const [key, value] of Object.entries(wanted)) assert.deepEqual(config[key as keyof RunConfig], value, key);
  });
}

test("a base without PATH gets the default one", () => {
  assert.deepEqual(lastSteps("FROM scratch\nENV A=1")[0]?.config.Env, [`PATH=${DEFAULT_PATH}`, "A=1"]);
});

test("build args override defaults, globals reach a stage only by name", () => {
  const text = "ARG G=global\nARG H=${G}2\nFROM localhost/base\nARG G\nARG D=${G}-d\nLABEL g=$G h=$H d=$D";
  const labels = (buildArgs: ReadonlyMap<string, string>): unknown =>
    lastSteps(text, { buildArgs }).at(-1)?.config.Labels;
  assert.deepEqual(labels(new Map()), { a: "1", g: "global", h: "", d: "global-d" });
  assert.deepEqual(labels(new Map([["G", "x"]])), { a: "1", g: "x", h: "", d: "x-d" });
});

test("FROM sees global and platform arguments", () => {
  const found = plan("ARG T=1\nFROM --platform=$BUILDPLATFORM localhost/base:${T}-$TARGETARCH");
  assert.equal(found.stages[0]?.fromText, "FROM localhost/base:1-amd64");
  assert.match(
    String(refusal("FROM --platform=linux/arm64 localhost/base")),
    /platform "linux\/arm64" is not this machine's/,
  );
});

test("unused build args are named; proxies are not asked for", () => {
  const { warnings } = plan("FROM localhost/base\nARG A", {
    buildArgs: new Map([
      ["A", "1"],
      ["B", "2"],
      ["http_proxy", "p"],
    ]),
  });
  assert.deepEqual(warnings, ["one or more build args were not consumed: [B]"]);
});

test("RUN gets ENV and ARG, ENV wins, and says its args in the history", () => {
  const steps = lastSteps("FROM localhost/base\nARG B=arg A=1\nENV B=env\nUSER u\nRUN x $A");
  const action = steps.at(-1)?.action;
  assert.ok(action?.kind === "run");
  assert.deepEqual(action.env, ["A=1", "B=env", "LANG=C", "PATH=/bin"]);
  assert.deepEqual([action.argv, action.user, action.workingDirectory], [["/bin/sh", "-c", "x $A"], "u", "/base"]);
  assert.equal(steps.at(-1)?.createdBy, "|2 A=1 B=arg /bin/sh -c x $A");
});

test("RUN forms", () => {
  assert.deepEqual(runAction('RUN ["a", "$b"]').argv, ["a", "$b"]);
  assert.deepEqual(runAction("RUN <<EOF\na $b\nEOF").argv, ["/bin/sh", "-c", "a $b\n"]);
  assert.deepEqual(runAction("RUN cat <<A <<'B' >x\n1\nA\n2\nB").argv, [
    "/bin/sh",
    "-c",
    "cat <<A <<'B' >x\n1\nA\n2\nB",
  ]);
  const script = runAction("RUN <<EOF\n#!/usr/bin/env python3\nprint()\nEOF");
  assert.deepEqual([script.argv, script.script], [[], "#!/usr/bin/env python3\nprint()\n"]);
  assert.equal(runAction("RUN --network=none x").network, "none");
  assert.equal(runAction("RUN x", { network: "host" }).network, "host");
});

test("RUN mounts", () => {
  const secrets = new Map([["s", { content: Buffer.from("x") }]]);
  const body =
    "ARG d=/cache\nWORKDIR /w\nRUN --mount=type=cache,target=$d --mount=target=src,source=/a " +
    "--mount=type=secret,id=s,required --mount=type=secret,id=t,env=T --mount=type=tmpfs,target=/t,size=1m --mount=from=localhost/base,target=/b,rw x";
  assert.deepEqual(runAction(body, { secrets }).mounts, [
    {
      kind: "cache",
      id: "/cache",
      target: "/cache",
      sharing: "shared",
      from: undefined,
      source: "/",
      mode: 0o755,
      uid: 0,
      gid: 0,
      readOnly: false,
    },
    { kind: "bind", from: { kind: "context" }, source: "/a", target: "/w/src", readOnly: true },
    { kind: "secret", id: "s", target: "/run/secrets/s", env: undefined, mode: 0o400, uid: 0, gid: 0 },
    { kind: "secret", id: "t", target: undefined, env: "T", mode: 0o400, uid: 0, gid: 0 },
    { kind: "tmpfs", target: "/t", sizeBytes: 1 << 20 },
    { kind: "bind", from: { kind: "image", name: "localhost/base" }, source: "/", target: "/b", readOnly: false },
  ]);
});

test("COPY targets and heredocs", () => {
  assert.equal(copyAction("COPY a b").target, "/base/b");
  assert.equal(copyAction("COPY a b/").target, "/base/b/");
  assert.equal(copyAction("COPY a .").target, "/base/");
  assert.equal(copyAction("COPY a /").target, "/");
  assert.equal(copyAction("COPY a /x/..").target, "/");
  assert.equal(copyAction("ENV t=/t\nCOPY a $t/").target, "/t/");
  assert.equal(copyAction("COPY a /b").unpack, false);
  assert.equal(copyAction("ADD a /b").unpack, true);
  assert.equal(copyAction("ADD --unpack=false a /b").unpack, false);
  const heredocs = copyAction("ENV x=1\nCOPY <<A <<'B' /d/\n$x \"$x\"\nA\n$x\nB").sources;
  assert.deepEqual(
    heredocs.map((source) => source.kind === "heredoc" && source.heredoc.content),
    ['1 "1"\n', "$x\n"],
  );
});

test("stages: only needed ones are planned, configuration and arguments go with FROM", () => {
  const text = `FROM localhost/base AS a
ARG V=1
ENV A=1
SHELL ["/s", "-c"]
FROM localhost/missing AS unused
RUN x
FROM a AS b
COPY --from=a /x /y
RUN y $V
`;
  const found = plan(text);
  assert.deepEqual(
    found.stages.map((stage) => stage.stage.name),
    ["a", "b"],
  );
  const action = found.stages[1]?.steps.at(-1)?.action;
  assert.ok(action?.kind === "run");
  assert.deepEqual(action.argv, ["/s", "-c", "y $V"]);
  assert.ok(action.env.includes("V=1") && action.env.includes("A=1"));
  assert.deepEqual(plan(text, { target: "a" }).stages.length, 1);
});

test("--label comes last, as a step of the target", () => {
  const steps = lastSteps("FROM localhost/base\nLABEL x=1", { labels: new Map([["x", "2"]]) });
  assert.equal(steps.length, 2);
  assert.deepEqual(steps[1]?.config.Labels, { a: "1", x: "2" });
});

test("what the image format has no place for is told", () => {
  const { warnings } = plan('FROM localhost/base\nHEALTHCHECK CMD x\nONBUILD RUN x\nSHELL ["/x"]');
  assert.deepEqual(
    warnings.map((warning) => /:(\d+: \w+)/.exec(warning)?.[1]),
    ["2: HEALTHCHECK", "3: ONBUILD", "4: SHELL"],
  );
});

test("imageNames() lists what may have to be fetched", () => {
  const text =
    "FROM r.example.com/a AS x\nFROM r.example.com/unused\nFROM x\nCOPY --from=r.example.com/b /a /a\nCOPY --from=x /a /a";
  assert.deepEqual(imageNames(request(text)), ["r.example.com/a", "r.example.com/b"]);
});

function refusal(text: string, options: Partial<BuildRequest> = {}): string {
  try {
    plan(text, options);
  } catch (error) {
    if (error instanceof ContainerfileError)
      return `line ${error.line}: ${error.message}${error.hint === undefined ? "" : ` (${error.hint})`}`;
    if (isFailure(error)) return `${error.code}: ${error.message}${error.hint === undefined ? "" : ` (${error.hint})`}`;
    throw error;
  }
  return "accepted";
}

const refused: readonly (readonly [text: string, wanted: RegExp])[] = [
  ["FROM localhost/nosuch", /^line 1: base image "localhost\/nosuch" is not in the store/],
  ["FROM nosuch", /write the full name, e\.g\. localhost\/nosuch/],
  ["FROM $x", /^line 1: base name "\$x" is empty after expansion/],
  ["FROM localhost/base\nRUN --security=insecure x", /^line 2: RUN --security=insecure is not supported/],
  ["FROM localhost/base\nRUN --device=x x", /^line 2: RUN --device is not supported/],
  ["FROM localhost/base\nRUN --mount=type=ssh x", /^line 2: RUN --mount=type=ssh is not supported/],
  [
    "FROM localhost/base\nRUN --mount=type=secret,id=x,required x",
    /^line 2: secret "x" is required and was not given \(add --secret id=x/,
  ],
  ["FROM localhost/base\nRUN --mount=type=tmpfs,target=/ x", /^line 2: a mount can not hide the whole root/],
  ["FROM localhost/base\nRUN true\nADD https://x.example.com/a /a", /^line 3: ADD of the URL .* is not supported/],
  ["FROM localhost/base\nCOPY https://x.example.com/a /a", /^line 2: COPY takes no URL/],
  ["FROM localhost/base\nCOPY a b c", /^line 2: COPY with more than one source needs a destination that ends with \//],
  ["FROM localhost/base\nCOPY $x /a", /^line 2: source "\$x" is empty/],
  ["FROM localhost/base\nCOPY a $x", /^line 2: destination "\$x" is empty/],
  ["FROM localhost/base\nCOPY a[ /a", /^line 2: .*unfinished \[/],
  ["FROM localhost/base\nCOPY --exclude=[ a /a", /^line 2: .*unfinished \[/],
  ["FROM localhost/base\nARG m=9\nCOPY --chmod=$m a /a", /^line 3: invalid --chmod "9"/],
  ["FROM localhost/base\nCOPY --from=localhost/nosuch a /a", /^line 2: image "localhost\/nosuch" is not in the store/],
  ["FROM localhost/base\nUSER $x", /^line 2: USER "\$x" is empty/],
  ["FROM localhost/base\nARG p=x\nEXPOSE $p", /^line 3: invalid port "x"/],
  ['FROM localhost/base\nENV a="${x:?set x}"', /^line 2: x: set x/],
  ['ARG a="${x:?set x}"\nFROM localhost/base', /^line 1: x: set x/],
  ["FROM localhost/base\nVOLUME $x", /^line 2: VOLUME/],
];

for (const [text, wanted] of refused)
  test(`planBuild() refuses ${JSON.stringify(text)}`, () => assert.match(refusal(text), wanted));

test("planBuild() refuses an unknown target with the nearest one", () => {
  assert.match(
    refusal("FROM localhost/base AS build", { target: "biuld" }),
    /^usage: Cannot build target of "Containerfile": there is no stage "biuld" \(did you mean build\?\)/,
  );
});

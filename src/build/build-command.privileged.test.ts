/** The words and errors of `berth build`, and the commands that show what it built. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { addBase, berth, build, context, imageOf, removeScratch, scratch } from "../../test/support/tiny-builds.ts";

before(addBase);
after(removeScratch);

test("errors of the file come before the first step, with the line and a caret", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN touch /x\nCOPY --form=a b c\n" });
  const built = berth(["build", directory]);
  assert.equal(built.status, 1);
  assert.equal(built.stdout, "");
  assert.equal(
    built.stderr,
    '  3 | COPY --form=a b c\n    |      ^\nerror: Cannot build "Containerfile": line 3, column 6: unknown flag --form of COPY\nhint: did you mean --from?\n',
  );
});

test("wrong words are refused before anything is done", () => {
  const directory = context({ Containerfile: "FROM tiny:1\n" });
  const refusals: readonly (readonly [args: readonly string[], status: number, message: RegExp])[] = [
    [[path.join(scratch, "nosuch")], 1, /Cannot build in context ".*nosuch": there is no such directory/],
    [[context({})], 1, /has neither a Containerfile nor a Dockerfile/],
    [["-f", "nosuch", directory], 1, /Cannot build "nosuch": there is no such file/],
    [["-t", "UPPER", directory], 2, /Cannot name the image "UPPER"/],
    [["--target", "x", directory], 2, /there is no stage "x"/],
    [["--secret", "id=a,src=/nosuch", directory], 2, /there is no file "\/nosuch"/],
    [["--secret", "src=/x", directory], 2, /it has no id/],
    [["--ignorefile", "/nosuch", directory], 1, /Cannot read ignore file "\/nosuch"/],
    [["--source-date-epoch", "yesterday", directory], 2, /SOURCE_DATE_EPOCH "yesterday"/],
    [["--network", "bridge", directory], 2, /--network/],
  ];
  for (const [args, status, message] of refusals) {
    const built = berth(["build", ...args]);
    assert.equal(built.status, status, `${args.join(" ")}: ${built.stderr}`);
    assert.match(built.stderr, message);
    assert.equal(built.stdout, "");
  }
});

test("standard input, iidfile, labels, annotations, dry run", () => {
  const iid = path.join(scratch, "iid");
  const built = berth(
    ["build", "-f", "-", "--iidfile", iid, "--label", "l=1", "--annotation", "org.example.a=b", context({ page: "x" })],
    {
      input: "FROM tiny:1\nCOPY page /from-stdin\n",
    },
  );
  assert.equal(built.status, 0, built.stderr);
  assert.equal(readFileSync(iid, "utf8"), `sha256:${built.id}`);
  const untold = berth([
    "build",
    "-t",
    "untold:1",
    "--iidfile",
    "/nonexistent/iid",
    context({ Containerfile: "FROM tiny:1\n" }),
  ]);
  assert.equal(untold.status, 1);
  assert.equal(berth(["history", "untold:1"]).status, 1);
  const { config, manifest } = imageOf(built.id);
  assert.deepEqual(config.config.Labels, { base: "yes", l: "1" });
  assert.equal(manifest.annotations?.["org.example.a"], "b");
  const plan = berth(["build", "--dry-run", context({ Containerfile: "FROM tiny:1\nRUN touch /never\n" })]);
  assert.match(
    plan.stdout,
    /^STEP 1\/2: FROM tiny:1\nSTEP 2\/2: RUN touch \/never\n {2}run \["\/bin\/sh","-c","touch \/never"\] in \/, network private\n/,
  );
});

test("images, history and rmi show and remove what was built", () => {
  const built = build("FROM tiny:1\nRUN echo listed > /listed\n", {}, ["-t", "listed:1"]);
  const listed = berth(["images", "listed"]).stdout;
  assert.match(
    listed,
    new RegExp(
      `^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nlocalhost/listed +1 +${built.id.slice(0, 12)} +.* ago +[0-9.]+ MB\n$`,
    ),
  );
  assert.match(
    berth(["history", "listed:1"]).stdout,
    new RegExp(`\n${built.id.slice(0, 12)} .*/bin/sh -c echo listed > /listed`),
  );
  assert.equal(berth(["rmi", "listed:1"]).stdout, `Untagged: localhost/listed:1\nDeleted: ${built.id}\n`);
  assert.equal(berth(["rmi", "listed:1"]).status, 1);
  build("FROM tiny:1\nRUN echo dangling > /dangling\n");
  assert.match(berth(["images"]).stdout, /^<none> +<none> +[0-9a-f]{12}/m);
});

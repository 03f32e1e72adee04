/** RUN: its forms, mounts, networks and failures. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import {
  addBase,
  berth,
  build,
  context,
  imageOf,
  newLayers,
  removeScratch,
  scratch,
  storeRoot,
  withStore,
} from "../../test/support/tiny-builds.ts";

before(addBase);
after(removeScratch);

test("RUN forms: exec, heredoc, script, SHELL; ENV in the process", async () => {
  const built = build(`FROM tiny:1
RUN ["/bin/touch", "/$HOME"]
RUN <<EOF
echo a > /a
echo b >> /a
EOF
RUN <<EOF
#!/bin/cat
as a script
EOF
RUN cat <<EOF > /c
$PATH
EOF
SHELL ["/bin/sh", "-ec"]
RUN echo d > /d
`);
  assert.match(built.stdout, /#!\/bin\/cat\nas a script\n/);
  assert.deepEqual(await newLayers(built.id), [
    { $HOME: "644 0:0 " },
    { a: "644 0:0 a\nb\n" },
    { c: "644 0:0 /bin\n" },
    { d: "644 0:0 d\n" },
  ]);
});

test("secrets reach the command and nothing else", () => {
  const secret = "correct-horse-battery-staple";
  const directory = context({
    Containerfile: `FROM tiny:1
RUN --mount=type=secret,id=s,uid=33,mode=0440 --mount=type=secret,id=s,env=S test "$(cat /run/secrets/s)" = "$S" && stat -c %a:%u /run/secrets/s && touch /done
RUN test ! -e /run/secrets && test -z "$S"
`,
  });
  writeFileSync(path.join(scratch, "secret"), secret);
  const built = berth(["build", "--secret", `id=s,src=${scratch}/secret`, directory]);
  assert.equal(built.status, 0, built.stderr + built.stdout);
  assert.match(built.stdout, /^440:33$/m);
  assert.equal(spawnSync("grep", ["-rlF", secret, storeRoot], { encoding: "utf8" }).stdout, "");
  assert.ok(!imageOf(built.id).configBytes.includes(secret));
});

test("cache mounts keep their content between builds and out of layers; bind mounts drop writes; tmpfs is empty", async () => {
  const text = (n: number): string => `FROM tiny:1
RUN --mount=type=cache,target=/cache,id=test-cache,sharing=locked echo ${n} >> /cache/log && cat /cache/log > /seen-${n}
RUN --mount=target=/src,source=sub,rw --mount=type=tmpfs,target=/t,size=1m echo changed > /src/file && touch /src/new /t/x && cat /src/file > /bound-${n}
RUN --mount=target=/src cat /src/sub/file > /again-${n} && ! touch /src/sub/x && test ! -e /src/hidden
`;
  const files = { "sub/file": "original", hidden: "h", ".containerignore": "hidden" };
  build(text(1), files);
  const layers = await newLayers(build(text(2), files).id);
  assert.deepEqual(layers, [
    { "seen-2": "644 0:0 1\n2\n" },
    { "bound-2": "644 0:0 changed\n" },
    { "again-2": "644 0:0 original" },
  ]);
});

test("a failing RUN says where and leaves nothing behind", () => {
  const directory = context({ Containerfile: "FROM tiny:1\nRUN echo said && exit 7\n" });
  const imagesBefore = withStore((store) => store.images().length);
  const built = berth(["build", "-t", "failed", directory]);
  assert.equal(built.status, 1);
  assert.match(built.stdout, /said/);
  assert.match(
    built.stderr,
    /^error: Cannot build "Containerfile": line 2: RUN echo said && exit 7: the command ended with exit status 7$/m,
  );
  assert.equal(
    withStore((store) => store.images().length),
    imagesBefore,
  );
  assert.deepEqual(readdirSync(path.join(storeRoot, "cache/scratch")), []);
  assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(scratch));
  assert.match(berth(["build", "-q", directory]).stderr, /^said$/m);
});

test("RUN networks: none has no interface but lo, private has one and a name server", () => {
  const built = build(
    "FROM tiny:1\nRUN --network=none ls /sys/class/net && echo end-of-none\nRUN ls /sys/class/net && cat /etc/resolv.conf\n",
    {},
    ["--no-cache"],
  );
  const [none = "", open = ""] = built.stdout.split("\nend-of-none\n");
  assert.match(none, /\nlo$/);
  assert.match(open, /\neth0\nlo\n[\s\S]*nameserver /);
});

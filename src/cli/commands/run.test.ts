import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../../host/fake.ts";
import { runWords } from "../testing.ts";
import { runCommand } from "./run.ts";

const bad: readonly (readonly [words: readonly string[], message: RegExp])[] = [
  [["--hostname", "bad host"], /Cannot use host name "bad host"/],
  [["--hostname="], /Cannot use host name ""/],
  [["--workdir", "relative"], /Cannot work in "relative": wanted an absolute path/],
  [["--name", "a b"], /Cannot name a container "a b"/],
  [["-p", "99999:80"], /Cannot publish "99999:80"/],
  [["-p", "80:80", "--network", "host"], /Cannot publish ports with --network host/],
  [["-v", "relative:/x"], /Cannot mount "relative:\/x"/],
  [["-e", "=x"], /Cannot set variable "=x"/],
  [["-d", "-i"], /Cannot give a terminal to a container in the background/],
  [["-t"], /standard input is none/],
  [[], /Cannot find image "nosuch"/],
];
for (const [flags, message] of bad) {
  test(`berth run ${flags.join(" ")} nosuch is refused with 125, as the container's status is another's`, async () => {
    const { status, out, err } = await runWords(createFakeHost(), [runCommand], ["run", ...flags, "nosuch"]);
    assert.match(err, message);
    assert.deepEqual([status, out], [125, ""]);
  });
}

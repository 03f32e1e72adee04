import assert from "node:assert/strict";
import { test } from "node:test";
import { findTarget, neededStages } from "./graph.ts";
import { readContainerfile } from "./stages.ts";

const file = readContainerfile(`ARG base=two
FROM localhost/x AS zero
FROM localhost/x AS one
FROM localhost/x AS two
FROM $base AS three
COPY --from=zero /a /a
FROM localhost/x AS four
RUN --mount=from=one,target=/m true
FROM localhost/x AS five
ARG from=zero
COPY --from=$from /a /a
`);
const needed = (target: string): (string | undefined)[] =>
  neededStages(file, findTarget(file, target), (name) => (name === "base" ? "two" : undefined)).map(
    (stage) => stage.name,
  );

test("only reachable stages are built", () => {
  assert.deepEqual(needed("three"), ["zero", "two", "three"]);
  assert.deepEqual(needed("four"), ["one", "four"]);
  assert.deepEqual(needed("0"), ["zero"]);
});

test("a variable in --from may mean any earlier stage", () => {
  assert.deepEqual(needed("five"), ["zero", "one", "two", "three", "four", "five"]);
});

test("findTarget() takes the last stage, ignores case, and suggests", () => {
  assert.equal(findTarget(file, undefined).name, "five");
  assert.equal(findTarget(file, "THREE").name, "three");
  assert.throws(() => findTarget(file, "thre"), /there is no stage "thre" \(did you mean three\?\)/);
  assert.throws(() => findTarget(file, "17"), /stages: zero, one/);
});

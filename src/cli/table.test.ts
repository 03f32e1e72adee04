import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAge, formatTable, shortId } from "./table.ts";

test("formatTable() pads to the widest cell and leaves two blanks", () => {
  assert.equal(
    formatTable(
      ["ID", "NAME"],
      [
        ["1", "a"],
        ["12345", "é"],
      ],
    ),
    "ID     NAME\n1      a\n12345  é\n",
  );
  assert.equal(formatTable(["A", "B"], []), "A  B\n");
  assert.equal(formatTable(["A"], Array(200_000).fill(["1"])).length, 400_002);
});

test("formatAge() speaks as podman does", () => {
  const table: readonly (readonly [number, string])[] = [
    [0, "Less than a second"],
    [1000, "1 second"],
    [5400, "5 seconds"],
    [75_000, "About a minute"],
    [150_000, "2 minutes"],
    [3_600_000, "About an hour"],
    [2.2 * 3_600_000, "2 hours"],
    [3 * 86_400_000, "3 days"],
    [20 * 86_400_000, "2 weeks"],
    [100 * 86_400_000, "3 months"],
    [800 * 86_400_000, "2 years"],
  ];
  for (const [durationMs, text] of table) assert.equal(formatAge(durationMs), text);
});

test("shortId() drops the algorithm", () => {
  assert.equal(shortId(`sha256:${"ab".repeat(32)}`), "abababababab");
});

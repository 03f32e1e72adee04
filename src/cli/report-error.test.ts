import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../core/failure.ts";
import { reportError } from "./report-error.ts";

const quiet = { debug: false };

test("reportError() tells the whole chain in one line and the nearest hint", () => {
  const cause = new Failure("network", 'Cannot reach "https://r:5000/v2/": connection refused', {
    hint: "is the registry running?",
  });
  const { text, exitCode } = reportError(new Failure("network", 'Cannot pull image "r:5000/x:1"', { cause }), quiet);
  assert.equal(
    text,
    'error: Cannot pull image "r:5000/x:1": Cannot reach "https://r:5000/v2/": connection refused\nhint: is the registry running?\n',
  );
  assert.equal(exitCode, 1);
});

test("reportError() gives usage 2, a bug 70 with its stack, a container its own", () => {
  assert.equal(reportError(new Failure("usage", "x"), quiet).exitCode, 2);
  const bug = reportError(new TypeError("undefined is not a function"), quiet);
  assert.equal(bug.exitCode, 70);
  assert.match(bug.text, /this is a bug:\nTypeError: undefined is not a function\n\s+at /);
  assert.equal(reportError(new Failure("exec-failed", "x", { exitCode: 42 }), quiet).exitCode, 42);
});

test("reportError() lets no control character and no password through", () => {
  const { text } = reportError(new Failure("network", "Cannot reach https://user:secret@host/\x1b[31m\nnext"), quiet);
  assert.equal(text, "error: Cannot reach https://***@host/?[31m | next\n");
});

test("reportError() makes one line of several, with nothing after the last", () => {
  const { text } = reportError(new SyntaxError("bad value\n  3 | x = [\n\n"), { debug: false });
  assert.equal(text, "error: bad value | 3 | x = [\n");
});

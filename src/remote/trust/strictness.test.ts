/** Laws of what is read from outside: every input is a value or a SyntaxError, and a repeated key is found. */
import { test } from "node:test";
import fc from "fast-check";
import { parseUniqueJsonObject } from "../../core/json.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { parseBundle, parseStatement } from "./bundle.ts";
import { parseClaim, SIGSTORE_CLAIM } from "./claim.ts";
import { parsePolicy, requirementsFor } from "./policy.ts";
import { matchesIdentity, parseSignedIdentity } from "./signed-identity.ts";
import { parsePrivateKey, parsePublicKey } from "./sigstore-key.ts";

function throwsOnlySyntaxErrors(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    return error instanceof SyntaxError;
  }
}

/** JSON whose keys are those of the formats, so that it gets past the first check. */
const word = fc.constantFrom(
  "default",
  "transports",
  "docker",
  "type",
  "keyPath",
  "keyData",
  "signedIdentity",
  "reject",
  "signedBy",
  "sigstoreSigned",
  "keyType",
  "GPGKeys",
  "insecureAcceptAnything",
  "critical",
  "optional",
  "image",
  "identity",
  "remapIdentity",
  "prefix",
  "signedPrefix",
  "mediaType",
  "dsseEnvelope",
  "payloadType",
  "signatures",
  "subject",
  "digest",
  "__proto__",
  "r.io",
);
const likely = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 6 }, word, fc.integer(), fc.constant(null), tie("list"), tie("object"), tie("object")),
  list: fc.array(tie("value"), { maxLength: 3 }),
  object: fc.dictionary(word, tie("value"), { maxKeys: 4 }),
}));

test("policies, claims, identities and keys are read, or refused with a SyntaxError", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        likely.value.map((value) => JSON.stringify(value)),
        fc.json(),
        fc.string(),
      ),
      (text) =>
        [
          () => parsePolicy(text),
          () => parsePolicy(`{"default":[${text}]}`),
          () => parseClaim(text, SIGSTORE_CLAIM),
          () => parseBundle(text),
          () => parseStatement(text),
          () => parsePublicKey(text),
          () => parsePrivateKey(text, ""),
        ].every(throwsOnlySyntaxErrors),
    ),
    { numRuns: 300 },
  );
  fc.assert(fc.property(likely.value, (value) => throwsOnlySyntaxErrors(() => parseSignedIdentity(value, "identity"))));
});

test("parseUniqueJsonObject() gives what JSON.parse() gives, and refuses a key that is repeated anywhere", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const text = JSON.stringify(value);
      return JSON.stringify(parseUniqueJsonObject(text, "x")) === text;
    }),
  );
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), (key, left, right) => {
      const pair = `${JSON.stringify(key)}:${JSON.stringify(left)},${JSON.stringify(key)}:${JSON.stringify(right)}`;
      for (const text of [`{${pair}}`, `{"a":[0,{${pair}}]}`]) {
        try {
          parseUniqueJsonObject(text, "x");
          return false;
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error;
        }
      }
      return true;
    }),
  );
});

test("an image is judged by one list, and no name in a signature breaks the comparison", () => {
  const policy = parsePolicy(
    '{"default":[{"type":"reject"}],"transports":{"docker":{"r.io":[{"type":"insecureAcceptAnything"}]}}}',
  );
  const ref = parseImageRef("r.io/team/os:1");
  fc.assert(
    fc.property(fc.domain(), (host) => {
      const { requirements } = requirementsFor(policy, parseImageRef(`${host}/a`));
      return requirements.length === 1 && (requirements[0]?.kind === "reject") === (host !== "r.io");
    }),
  );
  fc.assert(
    fc.property(fc.string(), (signed) => {
      const isSame = signed === "r.io/team/os:1";
      return matchesIdentity({ kind: "matchExact" }, ref, signed) === isSame;
    }),
  );
});

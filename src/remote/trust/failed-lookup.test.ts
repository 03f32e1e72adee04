/** Signatures in one form, where the registry does not tell of the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../../core/bytes.ts";
import { type Digest, digestHex } from "../../core/digest.ts";
import { Failure, type FailureCode, isFailure } from "../../core/failure.ts";
import { openTestRegistry, type TestRegistry } from "../../registry/testing.ts";
import { resolveImage } from "../resolve.ts";
import type { Fault, TestClient } from "../testing.ts";
import { signImage } from "./sign.ts";
import { parsePublicKey } from "./sigstore-key.ts";
import { key, machine, pair, ref, referrersOf } from "./testing.ts";
import { verifyImage } from "./verify.ts";

const options = { key: parsePublicKey(pair.publicKey) };

type Form = "tag" | "referrers";
const pathOf = (form: Form, digest: Digest): string =>
  form === "tag" ? `/v2/team/os/manifests/sha256-${digestHex(digest)}.sig` : `/v2/team/os/referrers/${digest}`;

/** A signed image, in a registry that fails for what is asked at one path. */
async function failingWorld(
  registry: TestRegistry,
  { form, answer }: { form: Form; answer: () => ReturnType<Fault> },
): Promise<{ client: TestClient; digest: Digest }> {
  const { digest } = await registry.pushImage("team/os", "v1");
  const client = machine(registry);
  await signImage(client.context, ref, { key });
  client.fault = (request, next) => (new URL(request.url).pathname === pathOf(form, digest) ? answer() : next(request));
  return { client, digest };
}

/** Takes the signature away that is left. */
async function removeOther(registry: TestRegistry, failing: Form, digest: Digest): Promise<void> {
  const path =
    failing === "referrers"
      ? pathOf("tag", digest)
      : `/v2/team/os/manifests/${(await referrersOf(registry, digest))[0] ?? ""}`;
  assert.equal((await registry.call("DELETE", path)).status, 202);
}

const answers = (status: number) => async (): ReturnType<Fault> => ({
  status,
  headers: {},
  body: streamOf(),
  discard() {},
});
const LOST = "Cannot reach: connection reset";
const FAILURES: readonly (readonly [what: string, () => ReturnType<Fault>, FailureCode, RegExp])[] = [
  ["a 500", answers(500), "network", /the registry answered 500/],
  ["a 429", answers(429), "network", /the registry answered 429/],
  ["a 403", answers(403), "denied", /the registry answered 403/],
  ["a 401", answers(401), "unauthorized", /the registry wants a login/],
  ["a lost connection", () => Promise.reject(new Failure("network", LOST)), "network", /connection reset/],
];

for (const form of ["tag", "referrers"] as const) {
  for (const [what, answer, code, pattern] of FAILURES) {
    test(`${what} for the ${form} of signatures does not hide a good one in the other form`, async () => {
      using registry = openTestRegistry();
      const { client, digest } = await failingWorld(registry, { form, answer });
      assert.equal((await resolveImage(client.context, ref)).digest, digest);
      assert.equal((await verifyImage(client.context, ref, options)).signatures.length, 1);
    });

    test(`${what} for the ${form} of signatures is told when no other is good, and nothing passes`, async () => {
      using registry = openTestRegistry();
      const { client, digest } = await failingWorld(registry, { form, answer });
      await removeOther(registry, form, digest);
      const isTold = (start: RegExp) => (error: unknown) => {
        assert.ok(isFailure(error, code), String(error));
        assert.match(error.message, start);
        assert.match(error.message, pattern);
        assert.doesNotMatch(error.hint ?? "", /berth sign /);
        return true;
      };
      await assert.rejects(
        resolveImage(client.context, ref),
        isTold(/the policy for .* wants sigstoreSigned by the key in it, and found no good signature \(/),
      );
      await assert.rejects(verifyImage(client.context, ref, options), isTold(/^Cannot verify "registry.test/));
    });
  }

  test(`sign does not go on when it cannot read the ${form} of signatures: it may have signed already`, async () => {
    using registry = openTestRegistry();
    const { client, digest } = await failingWorld(registry, { form, answer: answers(500) });
    await removeOther(registry, form, digest);
    client.requests.length = 0;
    await assert.rejects(signImage(client.context, ref, { key }), (error) => isFailure(error, "network"));
    assert.deepEqual(
      client.requests.filter((line) => /^(PUT|POST)/.test(line)),
      [],
    );
  });
}

test("an interrupted lookup ends the check", async () => {
  using registry = openTestRegistry();
  const answer = (): ReturnType<Fault> => Promise.reject(new Failure("aborted", "Cannot finish: interrupted"));
  const { client } = await failingWorld(registry, { form: "tag", answer });
  await assert.rejects(resolveImage(client.context, ref), (error) => isFailure(error, "aborted"));
});

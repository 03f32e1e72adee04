import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createLinuxHost } from "../host/linux.ts";
import { parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { parseChallenges } from "./challenge.ts";
import { listTags } from "./list-repositories.ts";
import { createBlobPusher } from "./push-blob.ts";
import { listReferrers } from "./referrers.ts";
import { resolveImage } from "./resolve.ts";
import { openSession } from "./session.ts";
import { createTestClient, REGISTRY } from "./testing.ts";
import { retryAfterMs } from "./retry.ts";
import { createTransport } from "./transport.ts";

const ref = parseImageRef(`${REGISTRY}/team/os:v1`);
const endpoint = { host: REGISTRY, path: "team/os", insecure: true, isMirror: false };

for (const [header, wanted] of [
  ['Basic realm="a, b"', [{ scheme: "basic", parameters: { realm: "a, b" } }]],
  [
    'Bearer realm="https://a/t",service="s",scope="repository:x:pull"',
    [{ scheme: "bearer", parameters: { realm: "https://a/t", service: "s", scope: "repository:x:pull" } }],
  ],
  [
    'Bearer realm=x , Basic realm="q\\"z"',
    [
      { scheme: "bearer", parameters: { realm: "x" } },
      { scheme: "basic", parameters: { realm: 'q"z' } },
    ],
  ],
  [
    'Negotiate, Basic realm="r"',
    [
      { scheme: "negotiate", parameters: {} },
      { scheme: "basic", parameters: { realm: "r" } },
    ],
  ],
  ["", []],
  ["\u0000(((", []],
] as const) {
  test(`parseChallenges() reads ${JSON.stringify(header)}`, () => assert.deepEqual(parseChallenges(header), wanted));
}

test("retryAfterMs() reads seconds and dates, and caps them", () => {
  const now = Date.UTC(2026, 0, 1);
  assert.equal(retryAfterMs("3", now), 3000);
  assert.equal(retryAfterMs(new Date(now + 5000).toUTCString(), now), 5000);
  assert.equal(retryAfterMs("99999", now), 60_000);
  assert.equal(retryAfterMs(new Date(now - 5000).toUTCString(), now), 0);
  assert.equal(retryAfterMs("soon", now), undefined);
  assert.equal(retryAfterMs(undefined, now), undefined);
});

test("429 and 503 are tried again, as Retry-After says; 500 and 404 are not", async () => {
  const statuses: [number, string | undefined][] = [
    [503, undefined],
    [429, "7"],
    [500, undefined],
  ];
  const client = createTestClient({
    [REGISTRY]: async () => {
      const [status, after] = statuses.shift() ?? [200, undefined];
      return new Response(null, { status, headers: after === undefined ? {} : { "retry-after": after } });
    },
  });
  const response = await createTransport(client.context)({
    method: "GET",
    url: `http://${REGISTRY}/x`,
    insecure: true,
  });
  assert.equal(response.status, 500);
  assert.deepEqual(client.slept, [500, 7000]);
});

test("a redirect to another host does not get the Authorization header; too many are refused", async () => {
  const seen: (string | null)[] = [];
  const client = createTestClient({
    [REGISTRY]: async (request) => {
      const { pathname } = new URL(request.url);
      seen.push(request.headers.get("authorization"));
      const location = pathname === "/a" ? "/b" : pathname === "/loop" ? "/loop" : "http://cdn.test/blob?sig=1";
      return new Response(null, { status: 307, headers: { location } });
    },
    "cdn.test": async (request) => {
      seen.push(request.headers.get("authorization"));
      return new Response("content");
    },
  });
  const send = createTransport(client.context);
  const headers = { authorization: "Basic secret" };
  const response = await send({ method: "GET", url: `http://${REGISTRY}/a`, headers, insecure: true });
  assert.equal(response.status, 200);
  assert.deepEqual(seen, ["Basic secret", "Basic secret", null]);
  await assert.rejects(
    send({ method: "GET", url: `http://${REGISTRY}/loop`, headers, insecure: true, retries: 0 }),
    /more than 10 redirects/,
  );
});

for (const address of ["file:///etc/passwd", "http://[", "mailto:a@b.c"]) {
  test(`an address of ${address} is no crash, wherever a registry gives it`, async () => {
    const client = createTestClient({
      [REGISTRY]: async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/v2/") return new Response("{}");
        const headers = { location: address, link: `<${address}>; rel="next"` };
        if (pathname.includes("/blobs/uploads/")) return new Response(null, { status: 202, headers });
        if (pathname.includes("/blobs/")) return new Response(null, { status: 404 });
        if (pathname.includes("/manifests/")) return new Response(null, { status: 307, headers });
        return Response.json({ manifests: [], tags: [] }, { headers });
      },
    });
    const session = await openSession(client.context, endpoint, { access: "pull,push" });
    const push = {
      blob: { mediaType: "a/b", digest: digestOf("x"), size: 1 },
      onSent() {},
      open: () => streamOf(Buffer.from("x")),
    };
    for (const call of [
      () => session.request("GET", "manifests/v1", { retries: 0 }),
      () => session.request("GET", address),
      () => listReferrers(session, digestOf("x")),
      () => listTags(session),
      () => createBlobPusher(client.context, session).push(push),
    ]) {
      await assert.rejects(
        call,
        (error) => isFailure(error, "network") && error.message.includes("wanted one of HTTP"),
      );
    }
  });
}

test("a redirect from https to http is refused unless the registry is insecure", async () => {
  const client = createTestClient({ "cdn.test": async () => new Response("x") });
  client.fault = async (request, next) =>
    request.url.startsWith("https:")
      ? { status: 302, headers: { location: "http://cdn.test/x" }, body: (async function* () {})(), discard() {} }
      : next(request);
  const send = createTransport(client.context);
  await assert.rejects(
    send({ method: "GET", url: "https://safe.test/x", insecure: false, retries: 0 }),
    /leads from https to http/,
  );
  assert.equal((await send({ method: "GET", url: "https://safe.test/x", insecure: true })).status, 200);
});

test("a bearer registry is asked with a token of the token server, fetched once for each scope", async () => {
  using registry = openTestRegistry();
  await registry.pushImage("team/os", "v1");
  const host = createLinuxHost();
  const tokenRequests: string[] = [];
  const guarded = async (request: Request): Promise<Response> => {
    if (request.headers.get("authorization") === "Bearer good") return registry.handler(request);
    const challenge = 'Bearer realm="http://auth.test/token",service="reg"';
    return new Response(null, { status: 401, headers: { "www-authenticate": challenge } });
  };
  const issue = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    tokenRequests.push(`${url.search} ${request.headers.get("authorization")}`);
    if (request.headers.get("authorization") !== `Basic ${btoa("anna:secret")}`)
      return new Response(null, { status: 401 });
    return Response.json({ token: "good", expires_in: 300 });
  };
  const authFile = `${registry.root}/auth.json`;
  const login = (text: string): void =>
    host.files.write(authFile, JSON.stringify({ auths: { [REGISTRY]: { auth: btoa(text) } } }));
  login("anna:secret");
  const client = createTestClient({ [REGISTRY]: guarded, "auth.test": issue }, { authFile });
  const session = await openSession(client.context, endpoint, { access: "pull" });
  for (let i = 0; i < 3; i += 1) assert.equal((await session.request("GET", "manifests/v1")).status, 200);
  await session.request("POST", "blobs/uploads/?mount=x", { alsoRead: "base/os" });
  assert.deepEqual(
    tokenRequests.map((line) => decodeURIComponent(line.split(" ")[0] ?? "")),
    [
      "?service=reg&scope=repository:team/os:pull&account=anna",
      "?service=reg&scope=repository:team/os:pull&scope=repository:base/os:pull&account=anna",
    ],
  );
  login("anna:wrong");
  await assert.rejects(resolveImage(client.context, ref), (error) => isFailure(error, "unauthorized"));
});

test("an identity token is exchanged as a refresh token", async () => {
  using registry = openTestRegistry();
  const authFile = `${registry.root}/auth.json`;
  registry.host.files.write(authFile, JSON.stringify({ auths: { [REGISTRY]: { identitytoken: "refresh" } } }));
  const client = createTestClient(
    {
      [REGISTRY]: async (request) =>
        request.headers.get("authorization") === "Bearer fresh"
          ? new Response(null)
          : new Response(null, {
              status: 401,
              headers: { "www-authenticate": 'Bearer realm="http://auth.test/token"' },
            }),
      "auth.test": async (request) => {
        const form = new URLSearchParams(await request.text());
        const right =
          request.method === "POST" &&
          form.get("grant_type") === "refresh_token" &&
          form.get("refresh_token") === "refresh";
        return right ? Response.json({ access_token: "fresh" }) : new Response(null, { status: 401 });
      },
    },
    { authFile },
  );
  const session = await openSession(client.context, endpoint, { access: "pull" });
  assert.equal((await session.request("GET", "manifests/v1")).status, 200);
});

for (const [name, challenge, pattern] of [
  ["an unknown scheme", "Negotiate", /it wants negotiate, wanted basic or bearer/],
  ["a token server that is no URL", 'Bearer realm="nowhere"', /its token server is "nowhere"/],
  ["a token answer that is no JSON", 'Bearer realm="http://auth.test/"', /its answer is malformed/],
] as const) {
  test(`${name} is a clear error`, async () => {
    const client = createTestClient({
      [REGISTRY]: async () => new Response(null, { status: 401, headers: { "www-authenticate": challenge } }),
      "auth.test": async () => new Response("<html>"),
    });
    await assert.rejects(resolveImage(client.context, ref), pattern);
  });
}

test("a server that is no registry is told so", async () => {
  const client = createTestClient({ [REGISTRY]: async () => new Response("hello", { status: 404 }) });
  await assert.rejects(resolveImage(client.context, ref), /it answered 404 to \/v2\/, wanted 200 or 401/);
});

test("a mirror that fails is passed over with a warning", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const conf = `${registry.root}/registries.conf`;
  registry.host.files.write(
    conf,
    `[[registry]]\nlocation="${REGISTRY}"\n[[registry.mirror]]\nlocation="mirror.test"\n`,
  );
  const client = createTestClient({ [REGISTRY]: registry.handler }, { env: { CONTAINERS_REGISTRIES_CONF: conf } });
  assert.equal((await resolveImage(client.context, ref)).digest, digest);
  assert.match(client.lines[0] ?? "", /^Mirror mirror\.test\/team\/os is passed over: /);
});

test("a registry that asks for a login only at the repository gets it; a refused password is sent once", async () => {
  using registry = openTestRegistry();
  await registry.pushImage("team/os", "v1");
  const authFile = `${registry.root}/auth.json`;
  const login = (text: string): void =>
    registry.host.files.write(authFile, JSON.stringify({ auths: { [REGISTRY]: { auth: btoa(text) } } }));
  const seen: (string | null)[] = [];
  const client = createTestClient(
    {
      [REGISTRY]: async (request) => {
        if (new URL(request.url).pathname === "/v2/") return new Response(null);
        const authorization = request.headers.get("authorization");
        seen.push(authorization);
        if (authorization === `Basic ${btoa("anna:secret")}`) return registry.handler(request);
        return new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } });
      },
    },
    { authFile },
  );
  const get = async (): Promise<number> => {
    const session = await openSession(client.context, endpoint, { access: "pull" });
    seen.splice(0);
    for (let i = 0; i < 2; i += 1) (await session.request("GET", "manifests/v1")).discard();
    return seen.length;
  };
  login("anna:secret");
  assert.equal(await get(), 3);
  login("anna:wrong");
  await assert.rejects(get(), (error) => isFailure(error, "unauthorized") && error.message.includes(authFile));
  assert.deepEqual(seen, [null, `Basic ${btoa("anna:wrong")}`]);
});

test("a token that the registry has forgotten is fetched anew, once", async () => {
  let valid = "none";
  let issued = 0;
  const client = createTestClient({
    [REGISTRY]: async (request) => {
      if (request.headers.get("authorization") === `Bearer ${valid}`) return new Response(null);
      const challenge = { "www-authenticate": 'Bearer realm="http://auth.test/token"' };
      return new Response(null, { status: 401, headers: challenge });
    },
    "auth.test": async () => {
      issued += 1;
      if (valid !== "never") valid = `t${issued}`;
      return Response.json({ token: `t${issued}`, expires_in: 3600 });
    },
  });
  const session = await openSession(client.context, endpoint, { access: "pull" });
  assert.equal((await session.request("GET", "manifests/v1")).status, 200);
  valid = "restarted";
  assert.equal((await session.request("GET", "manifests/v1")).status, 200);
  assert.equal(issued, 2);
  valid = "never";
  await assert.rejects(session.request("GET", "manifests/v1"), (error) => isFailure(error, "unauthorized"));
  assert.equal(issued, 3);
});

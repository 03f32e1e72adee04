/** The version check, and that nothing is told to who did not log in. @see distribution-spec "Determining Support" */
import { type Case, contentOf, expectError, expectHeader, expectStatus, pushBlob } from "./expect.ts";

export const access: readonly Case[] = [
  {
    name: "GET /v2/ gives 200 with a login, and the version header",
    async run(client) {
      expectHeader(
        expectStatus(await client.call("GET", "/v2/"), 200),
        "docker-distribution-api-version",
        "registry/2.0",
      );
    },
  },
  {
    name: "GET /v2/ without a login gives 401 UNAUTHORIZED with a challenge",
    async run(client) {
      const refused = await client.call("GET", "/v2/", { anonymous: true });
      expectError(refused, "UNAUTHORIZED", 401);
      expectHeader(refused, "www-authenticate", /^(Basic|Bearer) realm="/);
    },
  },
  {
    name: "nothing is read or written without a login",
    async run(client) {
      const repository = client.repository();
      const digest = await pushBlob(client, repository, contentOf("private", 100));
      for (const [method, path] of [
        ["GET", `blobs/${digest}`],
        ["HEAD", `blobs/${digest}`],
        ["DELETE", `blobs/${digest}`],
        ["POST", "blobs/uploads/"],
        ["PUT", "manifests/v1"],
        ["GET", "tags/list"],
      ] as const) {
        expectStatus(await client.call(method, `/v2/${repository}/${path}`, { anonymous: true }), 401);
      }
      expectStatus(await client.call("HEAD", `/v2/${repository}/blobs/${digest}`), 200);
    },
  },
  {
    name: "a malformed repository name gives 400 or 404, never 500",
    async run(client) {
      for (const name of ["Upper/case", "a//b", "-a", "a/..%2fb", "a".repeat(300)])
        expectStatus(await client.call("GET", `/v2/${name}/tags/list`), 400, 404);
    },
  },
];

/** The registry's page in Debian's Chromium: browse, sign in, compare; no script, no console error, no request off the server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, type Page } from "playwright-core";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { initRegistry } from "../init.ts";
import { startRegistry } from "../serve.ts";
import type { CallOptions } from "../testing.ts";
import { blobUpload } from "../testing.ts";
import { digestOf } from "../../core/digest.ts";
import { type Push, pushWebImage } from "./testing.ts";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

test("a person signs in, goes from repository to tag to layers, and compares two tags", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory("/tmp/berth-web-test-");
  const path = `${directory.path}/registry`;
  await initRegistry(host, path, { user: "anna", password: "secret", hostnames: [], tls: true });
  await using registry = await startRegistry(host, path, {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
    planUpgrade: async () => ({ bytes: 9, ways: "1 layer reused; 1 layer whole: 9 B" }),
  });
  const client = pushTo(registry.url, host.files.readText(`${path}/tls/registry.crt`), host);
  const labels = { "org.opencontainers.image.title": "<script>alert(1)</script>" };
  await pushWebImage(client, "team/os", "v1", {
    layers: ["RUN one", "RUN two"],
    labels,
    packages: { openssl: "3.0.1" },
  });
  await pushWebImage(client, "team/os", "v2", {
    layers: ["RUN one", "RUN three"],
    packages: { openssl: "3.0.2", curl: "8" },
  });

  await using browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGUMENTS });
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => complaints.push(dialog.message()));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${registry.url}/`)) complaints.push(request.url());
  });

  // Nobody yet: the page asks for a name, and says nothing of what is there.
  await page.goto(`${registry.url}/-/image/team/os:v2`);
  assert.equal(await page.textContent("h1"), "Sign in");
  assert.doesNotMatch(await page.content(), /curl|RUN/);
  await signIn(page, "eve", "secret");
  assert.match((await page.textContent("[role=alert]")) ?? "", /No user has this name/);
  assert.match(complaints.splice(0).join(), /^Failed to load resource: .* 403/, "Chromium's note of the refusal");
  await signIn(page, "anna", "secret");
  assert.equal(new URL(page.url()).pathname, "/-/image/team/os:v2", "back to where it wanted to go");

  await page.click("text=Repositories");
  await page.click("text=team/os");
  await page.click("a:has-text('v1')");
  assert.match((await page.textContent("main")) ?? "", /RUN one.*RUN two.*openssl.*3\.0\.1.*<script>alert/s);
  await page.selectOption("select[name=from]", "v1");
  await page.selectOption("select[name=to]", "v2");
  await page.click("button:has-text('Compare')");
  const text = (await page.textContent("main")) ?? "";
  assert.match(text, /An upgrade moves/);
  assert.match(text, /new curl.*changed openssl.*3\.0\.1.*3\.0\.2.*1 new, 1 shared, 1 gone/s);

  // By keyboard: the first stop skips to the content; the stylesheet is there in both colour schemes.
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to content");
  const ground = "getComputedStyle(document.body).backgroundColor";
  const light = await page.evaluate(ground);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await page.evaluate(ground), light);
  // A phone: wide tables scroll by themselves, the page does not.
  await page.setViewportSize({ width: 360, height: 640 });
  assert.equal(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);

  assert.deepEqual(complaints, []);
  await page.click("text=Sign out");
  assert.equal(await page.textContent("h1"), "Sign in");
  await page.goto(`${registry.url}/-/repository/team/os`);
  assert.equal(await page.textContent("h1"), "Sign in");
  assert.deepEqual(complaints, []);
});

async function signIn(page: Page, user: string, password: string): Promise<void> {
  await page.fill("#user", user);
  await page.fill("#password", password);
  await page.click("main button");
}

/** A small client over TLS, as anna. */
function pushTo(url: string, ca: string, host: Pick<ReturnType<typeof createLinuxHost>, "network">): Push {
  const call = async (method: string, target: string, { headers, body }: CallOptions = {}): Promise<Response> => {
    const authorization = `Basic ${Buffer.from("anna:secret").toString("base64")}`;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const answer = await host.network.request({
      method,
      url: new URL(target, url).href,
      headers: { authorization, ...headers },
      ...(bytes !== undefined && { body: bytes }),
      tls: { ca: [ca] },
    });
    answer.discard();
    return new Response(null, { status: answer.status, headers: { ...answer.headers } });
  };
  return {
    call,
    async pushBlob(repository, bytes) {
      const digest = digestOf(bytes);
      const session = await call("POST", `/v2/${repository}/blobs/uploads/`);
      await call("PUT", blobUpload(session.headers.get("location"), digest), { body: bytes });
      return digest;
    },
  };
}

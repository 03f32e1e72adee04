/**
 * presignGet(): an address with a signature in its query, which lets whoever has it GET one object for a while.
 *
 * @see docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
import { createHash, createHmac } from "node:crypto";
import type { BucketOptions } from "./bucket.ts";

export interface PresignOptions extends BucketOptions {
  readonly key: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lifeSeconds: number;
}

export function presignGet(options: PresignOptions): string {
  const { region, accessKey, secretKey, sessionToken, key } = options;
  const { origin, host, path } = objectAddress(options);
  const time = new Date(options.now).toISOString().replace(/[-:]|\.\d{3}/g, "");
  const date = time.slice(0, 8);
  const scope = `${date}/${region}/s3/aws4_request`;
  const query = [
    ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
    ["X-Amz-Credential", `${accessKey}/${scope}`],
    ["X-Amz-Date", time],
    ["X-Amz-Expires", String(options.lifeSeconds)],
    ...(sessionToken === undefined ? [] : [["X-Amz-Security-Token", sessionToken]]),
    ["X-Amz-SignedHeaders", "host"],
  ]
    .map((pair) => pair.map(encode).join("="))
    .join("&");
  const resource = `${path}/${key.split("/").map(encode).join("/")}`;
  const request = ["GET", resource, query, `host:${host}`, "", "host", "UNSIGNED-PAYLOAD"].join("\n");
  const digest = createHash("sha256").update(request).digest("hex");
  const toSign = ["AWS4-HMAC-SHA256", time, scope, digest].join("\n");
  const signingKey = [date, region, "s3", "aws4_request"].reduce<string | Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    `AWS4${secretKey}`,
  );
  const signature = createHmac("sha256", signingKey).update(toSign).digest("hex");
  return `${origin}${resource}?${query}&X-Amz-Signature=${signature}`;
}

function objectAddress(options: BucketOptions): { origin: string; host: string; path: string } {
  const { bucket, region, pathStyle } = options;
  const url = new URL(options.endpoint ?? `https://s3.${region}.amazonaws.com`);
  const host = pathStyle ? url.host : `${bucket}.${url.host}`;
  const base = url.pathname.replace(/\/$/, "");
  return { origin: `${url.protocol}//${host}`, host, path: pathStyle ? `${base}/${encode(bucket)}` : base };
}

/** RFC 3986, unreserved characters only. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** [storage]: where the registry's bytes lie. */
import { flag, maybe, parsed, text, type ValueOf, variants, withDefault } from "./fields.ts";

export const storageSection = variants("Where blobs, manifests and tags lie", "driver", {
  files: { directory: text("Folder of the content, relative to the registry's folder") },
  s3: {
    bucket: text("The bucket; it must exist"),
    endpoint: maybe(parsed("Address of the store; without it AWS", "^https?://[^/]", parseEndpoint)),
    region: withDefault(text("Region of the bucket"), "us-east-1"),
    prefix: withDefault(parsed("Before all keys, ending with /", "^$|/$", parsePrefix), ""),
    credentials: maybe(
      text("File with aws_access_key_id and aws_secret_access_key; without it the environment's, as AWS_ACCESS_KEY_ID"),
    ),
    ca: maybe(text("PEM file of certificates that sign the store's")),
    pathStyle: maybe(flag("Bucket in the path instead of the host name; by default with an endpoint")),
    redirect: withDefault(flag("Send clients that read large blobs to the store itself"), false),
  },
});

export type StorageConfig = ValueOf<typeof storageSection>;

function parseEndpoint(address: string): string {
  if (URL.canParse(address) && /^https?:\/\/[^/]/.test(address)) return address;
  throw new SyntaxError(`it is ${JSON.stringify(address)}, wanted https://HOST[:PORT]`);
}

function parsePrefix(prefix: string): string {
  if (prefix === "" || prefix.endsWith("/")) return prefix;
  throw new SyntaxError(`it is ${JSON.stringify(prefix)}, wanted a / at its end`);
}

/**
 * openS3Bucket(): a Bucket over the S3 protocol, by AWS's client, which signs and tries again. The client is loaded at the first
 * use: no command but a registry on S3 pays for it.
 *
 * Checksums are sent only where the protocol demands one: other servers than AWS refuse the newer kinds.
 *
 * @see docs.aws.amazon.com/AmazonS3/latest/API
 */
import { Failure } from "../core/failure.ts";
import { mapConcurrent } from "../core/concurrency.ts";
import { ASSEMBLE_BYTES_MIN, type Bucket, type BucketOptions, type ObjectInfo } from "./bucket.ts";
import { presignGet } from "./presign.ts";
import { loadS3Sdk } from "./s3-sdk-loader.ts";

type Sdk = Awaited<ReturnType<typeof loadS3Sdk>>;
type S3Client = InstanceType<Sdk["S3Client"]>;

/** A connection that gives no byte for this long is broken. */
const IDLE_MS = 60_000;
const CONNECT_MS = 5_000;
/** Slow readers each hold one. */
const CONNECTIONS_MAX = 1024;
const COPIES_AT_ONCE = 4;

/** Asks the store once. Failure "not-found" (no such bucket), "unauthorized", "denied", "network" (no such store there). */
export async function openS3Bucket(options: BucketOptions): Promise<Bucket> {
  const sdk = await loadS3Sdk();
  const client = new sdk.S3Client({
    region: options.region,
    credentials: {
      accessKeyId: options.accessKey,
      secretAccessKey: options.secretKey,
      ...(options.sessionToken !== undefined && { sessionToken: options.sessionToken }),
    },
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    forcePathStyle: options.pathStyle,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: 4,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: IDLE_MS,
      httpAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
      httpsAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX, ...(options.ca !== undefined && { ca: options.ca }) },
    },
  });
  try {
    await client.send(new sdk.ListObjectsV2Command({ Bucket: options.bucket, MaxKeys: 1 }));
  } catch (error) {
    client.destroy();
    throw explain(error, options, "open");
  }
  // What is under way ends with the client, and is not tried again.
  let closed = false;
  client.middlewareStack.add(
    (next) => (args) => {
      if (closed) throw new Failure("aborted", `Cannot ask bucket "${options.bucket}": it is closed`);
      return next(args);
    },
    { step: "finalizeRequest", priority: "low" },
  );
  const close = (): void => {
    closed = true;
    client.destroy();
  };
  return s3Bucket(sdk, client, { ...options, close });
}

function s3Bucket(sdk: Sdk, client: S3Client, options: BucketOptions & Pick<Bucket, "close">): Bucket {
  const Bucket = options.bucket;
  const attempt = async <T>(verb: string, key: string, call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw explain(error, options, `${verb} object "${key}" in`);
    }
  };
  const get = (key: string, range?: string): Promise<AsyncIterable<Uint8Array>> =>
    attempt("read", key, async () => {
      const answer = await client.send(
        new sdk.GetObjectCommand({ Bucket, Key: key, ...(range !== undefined && { Range: range }) }),
      );
      return parseBody(answer.Body);
    });
  return {
    async read(key) {
      try {
        const chunks: Uint8Array[] = [];
        for await (const chunk of await get(key)) chunks.push(chunk);
        return Buffer.concat(chunks);
      } catch (error) {
        if (isNoObject(error)) return undefined;
        throw error;
      }
    },
    async *readStream(key, { start, end }) {
      const body = await get(key, `bytes=${start}-${end - 1}`);
      try {
        yield* body;
      } catch (error) {
        throw explain(error, options, `read object "${key}" in`);
      }
    },
    async stat(key) {
      try {
        const answer = await attempt("look at", key, () =>
          client.send(new sdk.HeadObjectCommand({ Bucket, Key: key })),
        );
        return { key, size: answer.ContentLength ?? 0, modifiedMs: answer.LastModified?.getTime() ?? 0 };
      } catch (error) {
        if (isNoObject(error)) return undefined;
        throw error;
      }
    },
    async write(key, content) {
      const Body = Buffer.from(content);
      await attempt("write", key, () => client.send(new sdk.PutObjectCommand({ Bucket, Key: key, Body })));
    },
    async remove(key) {
      await attempt("remove", key, () => client.send(new sdk.DeleteObjectCommand({ Bucket, Key: key })));
    },
    async *list(prefix) {
      const pages = sdk.paginateListObjectsV2({ client }, { Bucket, Prefix: prefix });
      try {
        for await (const page of pages) {
          for (const { Key, Size, LastModified } of page.Contents ?? []) {
            if (Key !== undefined) yield { key: Key, size: Size ?? 0, modifiedMs: LastModified?.getTime() ?? 0 };
          }
        }
      } catch (error) {
        throw explain(error, options, `list objects "${prefix}" in`);
      }
    },
    listNames: (prefix) =>
      attempt("list below", prefix, async () => {
        const names: string[] = [];
        for await (const page of sdk.paginateListObjectsV2({ client }, { Bucket, Prefix: prefix, Delimiter: "/" })) {
          for (const { Key = "" } of page.Contents ?? []) names.push(Key.slice(prefix.length));
          for (const { Prefix = "" } of page.CommonPrefixes ?? []) names.push(Prefix.slice(prefix.length, -1));
        }
        return names.sort();
      }),
    assemble: (key, sources) => attempt("assemble", key, () => assemble(sdk, client, Bucket, key, sources)),
    dropAssemblies: (prefix, before) =>
      attempt("list parts below", prefix, async () => {
        const { Uploads = [] } = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket, Prefix: prefix }));
        for (const { Key, UploadId, Initiated } of Uploads) {
          if ((Initiated?.getTime() ?? 0) >= before) continue;
          await client.send(new sdk.AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
        }
      }),
    presign: (key, lifeSeconds) => presignGet({ ...options, key, lifeSeconds, now: Date.now() }),
    close: options.close,
  };
}

async function assemble(
  sdk: Sdk,
  client: S3Client,
  Bucket: string,
  Key: string,
  sources: readonly ObjectInfo[],
): Promise<void> {
  const address = (key: string): string => encodeURIComponent(`${Bucket}/${key}`);
  const [only, second] = sources;
  if (only === undefined) {
    await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(0) }));
    return;
  }
  if (second === undefined) {
    await client.send(new sdk.CopyObjectCommand({ Bucket, Key, CopySource: address(only.key) }));
    return;
  }
  if (sources.slice(0, -1).some(({ size }) => size < ASSEMBLE_BYTES_MIN)) {
    throw new RangeError(`Cannot assemble "${Key}": a part is smaller than ${ASSEMBLE_BYTES_MIN} bytes`);
  }
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key }));
  try {
    const Parts = await mapConcurrent(sources, { limit: COPIES_AT_ONCE }, async (source, index) => {
      const part = { Bucket, Key, UploadId, PartNumber: index + 1, CopySource: address(source.key) };
      const { CopyPartResult } = await client.send(new sdk.UploadPartCopyCommand(part));
      return { PartNumber: index + 1, ETag: CopyPartResult?.ETag };
    });
    await client.send(new sdk.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  } catch (error) {
    await client.send(new sdk.AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => undefined);
    throw error;
  }
}

function parseBody(body: unknown): AsyncIterable<Uint8Array> {
  if (typeof body === "object" && body !== null && Symbol.asyncIterator in body)
    return body as AsyncIterable<Uint8Array>;
  throw new TypeError("an object's body is no stream");
}

function isNoObject(error: unknown): boolean {
  return error instanceof Failure && error.code === "not-found" && !isNamed(error.cause, "NoSuchBucket");
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}

/** What went wrong, as a Failure that names bucket and store; `what` is a verb that takes the bucket. */
function explain(error: unknown, options: BucketOptions, what: string): unknown {
  if (!(error instanceof Error) || error instanceof Failure || error instanceof RangeError) return error;
  const where = `bucket "${options.bucket}" at ${options.endpoint ?? `AWS ${options.region}`}`;
  const failure = (code: ConstructorParameters<typeof Failure>[0], state: string, hint?: string): Failure =>
    new Failure(code, `Cannot ${what} ${where}: ${state}`, { cause: error, ...(hint !== undefined && { hint }) });
  switch (error.name) {
    case "NoSuchBucket":
      return failure("not-found", "there is no such bucket", "make the bucket first");
    case "NoSuchKey":
    case "NotFound":
      return failure("not-found", "there is no such object");
    case "InvalidAccessKeyId":
      return failure("unauthorized", "the store does not know the access key");
    case "SignatureDoesNotMatch":
      return failure("unauthorized", "the secret key does not belong to the access key");
    case "AccessDenied":
    case "Forbidden":
      return failure("denied", "the access key has no right to do that");
    case "PermanentRedirect":
    case "AuthorizationHeaderMalformed":
      return failure("bad-input", `the bucket is in another region than "${options.region}"`, "say the right region");
    case "QuotaExceeded":
      return failure("no-space", "the store has no space left for this bucket");
    default:
      return failure("network", `the store gives no usable answer (${reason(error)})`, "check its address");
  }
}

/** Node's code of a broken connection (ECONNREFUSED, ENOTFOUND) or the store's name for the error. */
function reason(error: Error): string {
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return error.message === "" || error.message === "UnknownError" ? code : `${code}: ${error.message}`;
}

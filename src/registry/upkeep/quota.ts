/**
 * createQuotas(): how much a repository may still take, by the rules that match its name. What counts: content that the repositories
 * hold, what several of them share once, and what has arrived of uploads that have not ended. Both are counted from the storage now
 * and then; in between this process adds what it receives, so that replicas that push at the same moment may together pass a
 * limit by what they push in it.
 */
import type { Digest } from "../../core/digest.ts";
import { formatBytes } from "../../core/units.ts";
import type { Host } from "../../host/host.ts";
import { compileGlob } from "../access/glob.ts";
import type { QuotaRule } from "../config/rules.ts";
import type { Driver, OpenUpload } from "../driver.ts";
import { RegistryError } from "../errors.ts";
import { listRepositories, openRepository } from "../repository.ts";

export interface Quotas {
  /** Whether `repository` may take `size` bytes more. */
  fits(repository: string, size: number): Promise<boolean>;
  /** Throws RegistryError DENIED when `repository` may not take `size` bytes more. */
  require(repository: string, size: number): Promise<void>;
  /** The same with all that has arrived of `upload`. */
  requireUpload(upload: OpenUpload, more: number): Promise<void>;
  /** `source`, of which no byte passes that `upload.repository` may not take beside the `upload.size` that arrived before. */
  receive(upload: OpenUpload, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>;
  /** The bytes of the upload are no more, or have been added as a blob. */
  ended(id: string): void;
  /** `repository` holds so much more now. */
  added(repository: string, size: number): void;
}

const COUNT_LIFE_MS = 10_000;

interface Limit extends QuotaRule {
  readonly matches: (repository: string) => boolean;
  /** By repositories. */
  held: number;
  /** By uploads. */
  arrived: number;
}

export function createQuotas(host: Pick<Host, "clock">, driver: Driver, rules: readonly QuotaRule[]): Quotas {
  const limits = rules.map((rule): Limit => {
    const glob = compileGlob(rule.repositories);
    return { ...rule, matches: (name) => glob.test(name), held: 0, arrived: 0 };
  });
  const limitsOf = (repository: string): Limit[] => limits.filter(({ matches }) => matches(repository));
  const uploads = uploadTable((repository, size) => {
    for (const limit of limitsOf(repository)) limit.arrived += size;
  });
  const count = counting(host, driver, limits, uploads);
  const fullOf = (found: readonly Limit[], size: number): Limit | undefined =>
    found.find((limit) => size > limit.size - limit.held - limit.arrived);
  const require = (found: readonly Limit[], size: number): void => {
    const full = fullOf(found, size);
    if (full !== undefined) throw exceeded(full);
  };
  return {
    async fits(repository, size) {
      await count();
      return fullOf(limitsOf(repository), size) === undefined;
    },
    async require(repository, size) {
      const found = limitsOf(repository);
      if (found.length === 0) return;
      await count();
      require(found, size);
    },
    async requireUpload(upload, more) {
      const found = limitsOf(upload.repository);
      if (found.length === 0) return;
      await count();
      uploads.set(upload);
      require(found, more);
    },
    async *receive(upload, source) {
      const found = limitsOf(upload.repository);
      if (found.length === 0) return yield* source;
      using arriving = uploads.receive(upload);
      for await (const chunk of source) {
        await count();
        require(found, chunk.length);
        arriving.grow(chunk.length);
        yield chunk;
      }
    },
    ended: (id) => uploads.delete(id),
    added(repository, size) {
      for (const limit of limitsOf(repository)) limit.held += size;
    },
  };
}

/** Counts anew what is older than COUNT_LIFE_MS; who asks meanwhile waits for the same count. */
function counting(
  host: Pick<Host, "clock">,
  driver: Driver,
  limits: readonly Limit[],
  uploads: UploadTable,
): () => Promise<void> {
  const sizes = new Map<Digest, number>();
  const sizeOf = async (digest: Digest): Promise<number> => {
    const size = sizes.get(digest) ?? (await driver.blobSize(digest));
    if (size !== undefined) sizes.set(digest, size);
    return size ?? 0;
  };
  const countAll = async (): Promise<void> => {
    const names = await listRepositories(driver);
    for (const limit of limits) {
      const held = new Set<Digest>();
      for (const name of names.filter(limit.matches)) {
        const repository = openRepository(driver, name);
        for (const digest of [...(await repository.blobs()), ...(await repository.manifests())]) held.add(digest);
      }
      let size = 0;
      for (const digest of held) size += await sizeOf(digest);
      limit.held = size;
    }
    const open: OpenUpload[] = [];
    for await (const upload of driver.listUploads()) open.push(upload);
    uploads.refresh(open);
  };
  let countedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  return async () => {
    if (running === undefined && host.clock.elapsed() - countedAt < COUNT_LIFE_MS) return;
    running ??= countAll()
      .then(() => {
        countedAt = host.clock.elapsed();
      })
      .finally(() => {
        running = undefined;
      });
    await running;
  };
}

interface UploadTable {
  set(upload: OpenUpload): void;
  delete(id: string): void;
  /** While bytes arrive we know more of an upload than the storage. */
  receive(upload: OpenUpload): Disposable & { grow(size: number): void };
  /** These are all. */
  refresh(open: readonly OpenUpload[]): void;
}

/** `changed` is called with each difference. */
function uploadTable(changed: (repository: string, size: number) => void): UploadTable {
  const known = new Map<string, OpenUpload>();
  const receiving = new Set<string>();
  const set = (upload: OpenUpload): void => {
    changed(upload.repository, upload.size - (known.get(upload.id)?.size ?? 0));
    known.set(upload.id, upload);
  };
  const remove = (id: string): void => {
    const upload = known.get(id);
    if (upload !== undefined) changed(upload.repository, -upload.size);
    known.delete(id);
  };
  return {
    set,
    delete: remove,
    receive(upload) {
      set(upload);
      receiving.add(upload.id);
      let { size } = upload;
      return {
        grow(more) {
          size += more;
          set({ ...upload, size });
        },
        [Symbol.dispose]: () => void receiving.delete(upload.id),
      };
    },
    refresh(open) {
      const ids = new Set(open.map(({ id }) => id));
      for (const id of known.keys()) if (!ids.has(id) && !receiving.has(id)) remove(id);
      for (const upload of open) if (!receiving.has(upload.id)) set(upload);
    },
  };
}

/** Without how much is used: that tells of repositories which the client may not read. */
function exceeded({ repositories, size }: Limit): RegistryError {
  const message = `quota of "${repositories}" is exceeded: it is ${formatBytes(size)}`;
  return new RegistryError(403, "DENIED", message, { detail: { quota: size } });
}

/** mapConcurrent(): run `work` over `items` with at most `limit` at a time; results keep the items' order. */

export interface ConcurrencyOptions {
  readonly limit: number;
  readonly signal?: AbortSignal;
}

/** The first error stops new work from starting, waits for what runs, and is thrown. */
export async function mapConcurrent<Item, Result>(
  items: readonly Item[],
  options: ConcurrencyOptions,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = Array.from({ length: items.length });
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      options.signal?.throwIfAborted();
      const index = next;
      next += 1;
      const item = items[index];
      if (item === undefined && !(index in items)) continue;
      try {
        results[index] = await work(item as Item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = Array.from({ length: Math.max(1, Math.min(options.limit, items.length)) }, lane);
  const outcomes = await Promise.allSettled(lanes);
  const rejected = outcomes.find((outcome) => outcome.status === "rejected");
  if (rejected !== undefined) throw rejected.reason;
  return results;
}

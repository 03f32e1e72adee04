/** memoized(): a pure function of a text that remembers its last results. What it throws is not remembered. */

const ENTRIES_MAX = 1024;
const TEXT_LENGTH_MAX = 512;

export function memoized<T>(compute: (text: string) => T): (text: string) => T {
  const results = new Map<string, T>();
  return (text) => {
    const known = results.get(text);
    if (known !== undefined) return known;
    const result = compute(text);
    if (results.size >= ENTRIES_MAX) results.clear();
    if (text.length <= TEXT_LENGTH_MAX) results.set(text, result);
    return result;
  };
}

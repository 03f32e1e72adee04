/** createGate(): at most so many of a kind at once; the rest wait in line. */

export interface Gate {
  /** Resolves when there is room; what it resolves with makes room for the next, and is to be called once. */
  enter(): Promise<() => void>;
}

export function createGate(limit: number): Gate {
  const waiting: (() => void)[] = [];
  let inside = 0;
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) inside -= 1;
    else next();
  };
  return {
    async enter() {
      if (inside < limit) inside += 1;
      else await new Promise<void>((resolve) => void waiting.push(resolve));
      return leave;
    },
  };
}

/** endOfTurn(): when the event loop has taken in what had arrived: the end of this turn, the same for all that ask in it. */

let turn: Promise<undefined> | undefined;

export function endOfTurn(): Promise<undefined> {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = undefined;
      resolve(undefined);
    });
  });
  return turn;
}

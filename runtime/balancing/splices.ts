import type { Endpoint } from "../discovery/endpoint.ts";

/** A part of a list that stands where another part stood: at `at` of the new list, `added` long, instead of `removed`. */
export interface Splice {
  readonly at: number;
  readonly removed: number;
  readonly added: number;
}

/** How far apart two lists may be, where they differ, for their next common element to be found. */
const lookAhead = 8;

/**
 * What makes `after` out of `before`, from the front to the back; between two splices stands at least one element of both. Elements are
 * compared as objects, which an unchanged instance keeps from list to list: nothing about them is read, so that finding the one change in
 * 100,000 takes a tenth of a millisecond. It is the balancers that compare, and not the directory, because lists are also made
 * behind it: by overrides, warm-up, routes and guards. A few changes are found one by one wherever they are; where the lists have nothing
 * in common for longer, all that follows is one splice.
 */
export function splices(before: readonly Endpoint[], after: readonly Endpoint[]): readonly Splice[] {
  let [i, j] = [0, 0];
  let [endBefore, endAfter] = [before.length, after.length];
  while (i < endBefore && i < endAfter && before[i] === after[i]) i++;
  j = i;
  while (endBefore > i && endAfter > j && before[endBefore - 1] === after[endAfter - 1]) {
    endBefore--;
    endAfter--;
  }
  const found: Splice[] = [];
  while (i < endBefore || j < endAfter) {
    if (i < endBefore && j < endAfter && before[i] === after[j]) {
      i++;
      j++;
      continue;
    }
    const [removed, added] = untilCommon(before, i, endBefore, after, j, endAfter);
    found.push({ at: j, removed, added });
    i += removed;
    j += added;
  }
  return found;
}

/** `splices`, remembering the latest answer: two who ask the same one after the other pay once. */
export function latestSplices(): typeof splices {
  let latest: Parameters<typeof splices> | undefined;
  let found: readonly Splice[] = [];
  return (before, after) => {
    if (latest?.[0] === before && latest[1] === after) return found;
    latest = [before, after];
    found = splices(before, after);
    return found;
  };
}

/** How much to skip of both until they go on alike: as little as possible. */
function untilCommon(
  before: readonly Endpoint[],
  i: number,
  endBefore: number,
  after: readonly Endpoint[],
  j: number,
  endAfter: number,
): readonly [number, number] {
  for (let apart = 1; apart <= lookAhead; apart++) {
    for (let removed = 0; removed <= apart; removed++) {
      const added = apart - removed;
      if (i + removed < endBefore && j + added < endAfter && before[i + removed] === after[j + added])
        return [removed, added];
    }
  }
  return [endBefore - i, endAfter - j];
}

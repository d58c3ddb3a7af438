import type { Random } from "../ports/random.ts";

/** Growing pauses between tries. */
export interface Backoff {
  /** The next pause, in microseconds. */
  nextUs(): number;
  /** Begins again with the first pause: call it after a success. */
  reset(): void;
}

/**
 * Exponential backoff with "equal jitter" (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): 100 ms,
 * doubled up to 1 s, half of each pause drawn at random, so that clients which lost one server together don't return together.
 */
export function createBackoff(random: Random, firstUs = 100_000, maxUs = 1_000_000): Backoff {
  let pauseUs = firstUs;
  return {
    nextUs: () => {
      const half = Math.ceil(pauseUs / 2);
      pauseUs = Math.min(pauseUs * 2, maxUs);
      return half + random.below(half);
    },
    reset: () => {
      pauseUs = firstUs;
    },
  };
}

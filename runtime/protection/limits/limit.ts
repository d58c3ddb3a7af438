/** One call's measurement. */
export interface Sample {
  /** From its admission to its end, in microseconds. */
  readonly rttUs: number;
  /** Calls that were in flight when it was admitted, itself included. */
  readonly inFlight: number;
  /** It was refused for want of capacity, or ran out of its time. */
  readonly isDropped: boolean;
}

/** Finds out how many calls at a time are good: one file an algorithm, all alike. */
export interface LimitAlgorithm {
  /** The present limit, at least 1; a fraction counts as the integer below. */
  readonly limit: number;
  sample(sample: Sample): void;
}

/** Between which bounds a limit moves, and where it begins. */
export interface LimitBounds {
  readonly initial?: number | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

/** One measurement of this folder. */
export interface Bench {
  readonly name: string;
  /** "What is measured": one line, for the list. */
  readonly about: string;
  /** Measures, in `rounds` rounds that alternate between the parties. `progress` hears what is under way. */
  run(rounds: number, progress: (message: string) => void): Promise<readonly Figure[]>;
}

/** One line of the table. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  /** One value a round; empty when it couldn't be measured, and then `note` says why. */
  readonly values: readonly number[];
  /** What it should reach: "≥ 50,000". */
  readonly target?: string | undefined;
  readonly note?: string | undefined;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

/** Round by round: what was measured at the same time is compared, so that a slow minute of the machine slows both. */
export function ratios(above: readonly number[], below: readonly number[]): readonly number[] {
  return above.slice(0, below.length).map((value, round) => value / below[round]!);
}

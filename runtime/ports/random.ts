/** Chance as the runtime sees it: seeded, so that one seed explains one run. */
export interface Random {
  /** An integer in [0, 2^32). */
  uint32(): number;
  /** A number in [0, 1) with 53 random bits. */
  float(): number;
  /** An integer in [0, bound), without modulo bias. `bound` is an integer in [1, 2^32]. */
  below(bound: number): number;
  /** A stream of its own, a function of this stream's seed and `label` alone: drawing from one never moves another. */
  fork(label: string): Random;
}

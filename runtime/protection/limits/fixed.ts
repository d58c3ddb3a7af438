import type { LimitAlgorithm, LimitBounds } from "./limit.ts";

/** A limit that never moves: `initial` (20) calls at a time. A bulkhead (Nygard, "Release It!", 2007). */
export function fixed({ initial = 20 }: LimitBounds): LimitAlgorithm {
  return { limit: initial, sample: () => undefined };
}

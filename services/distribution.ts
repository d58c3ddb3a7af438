import { ln, pow } from "../runtime/numbers.ts";
import type { Random } from "../runtime/ports/random.ts";

/** A random duration in microseconds. */
export type Distribution =
  | { readonly kind: "constant"; readonly us: number }
  | { readonly kind: "uniform"; readonly fromUs: number; readonly toUs: number }
  /** Cut off at 0. */
  | { readonly kind: "normal"; readonly meanUs: number; readonly sdUs: number }
  | { readonly kind: "exponential"; readonly meanUs: number }
  /** Density ∝ x^-(shape+1) from `minUs` on; the mean is finite for shape > 1, the variance for shape > 2. */
  | { readonly kind: "pareto"; readonly minUs: number; readonly shape: number };

/** One draw, in whole microseconds, never negative. */
export function sample(distribution: Distribution, random: Random): number {
  switch (distribution.kind) {
    case "constant":
      return Math.round(distribution.us);
    case "uniform":
      return Math.round(distribution.fromUs + (distribution.toUs - distribution.fromUs) * random.float());
    case "normal":
      return Math.max(0, Math.round(distribution.meanUs + distribution.sdUs * standardNormal(random)));
    case "exponential":
      return Math.round(-distribution.meanUs * ln(1 - random.float()));
    case "pareto":
      return Math.round(distribution.minUs * pow(1 - random.float(), -1 / distribution.shape));
  }
}

/** What draws come to on average; a normal's cut at 0 isn't reckoned with. Infinite for a Pareto whose shape is 1 or less. */
export function meanUs(distribution: Distribution): number {
  switch (distribution.kind) {
    case "constant":
      return distribution.us;
    case "uniform":
      return (distribution.fromUs + distribution.toUs) / 2;
    case "normal":
    case "exponential":
      return distribution.meanUs;
    case "pareto":
      return distribution.shape <= 1 ? Infinity : (distribution.minUs * distribution.shape) / (distribution.shape - 1);
  }
}

/** Marsaglia's polar method (1964): no sine or cosine, whose last bits differ between engines. */
function standardNormal(random: Random): number {
  for (;;) {
    const x = 2 * random.float() - 1;
    const y = 2 * random.float() - 1;
    const square = x * x + y * y;
    if (square > 0 && square < 1) return x * Math.sqrt((-2 * ln(square)) / square);
  }
}

/**
 * The bounds that verdicts rest on. They hold for every sample size: no normal approximation, no table. Sources: Hoeffding
 * 1963 (theorem 1, which covers bounded variables that aren't identically distributed), and Clopper and Pearson 1934.
 */

/** KL(a ‖ p) of two Bernoulli distributions, in nats; Infinity where p excludes what a allows. */
export function kl(a: number, p: number): number {
  return part(a, p) + part(1 - a, 1 - p);
}

function part(a: number, p: number): number {
  if (a === 0) return 0;
  return p === 0 ? Infinity : a * Math.log(a / p);
}

/**
 * Whether `sum` of `n` independent variables in [0, 1] is more than a mean of `p` explains: P(false alarm) ≤ alpha, because
 * P(mean ≥ a) ≤ e^(-n·KL(a ‖ p)) for a > p (Hoeffding 1963).
 */
export function isTooMany(sum: number, n: number, p: number, alpha: number): boolean {
  return n > 0 && sum / n > p && n * kl(Math.min(1, sum / n), p) > Math.log(1 / alpha);
}

/** The same for too few. */
export function isTooFew(sum: number, n: number, p: number, alpha: number): boolean {
  return n > 0 && sum / n < p && n * kl(Math.max(0, sum / n), p) > Math.log(1 / alpha);
}

/** How many of how many. */
export interface Proportion {
  readonly count: number;
  readonly n: number;
}

/**
 * Whether two samples of independent draws differ by more than one common mean explains: P(false alarm) ≤ alpha, whatever that mean is.
 * For the true mean each n·KL exceeds t with probability ≤ 2e^-t (Hoeffding 1963), so their sum exceeds y + 2 ln 2 with probability
 * ≤ (1 + y)e^-y (two exponential variables); the pooled mean makes that sum smallest, as the likelihood-ratio test does.
 */
export function differ(a: Proportion, b: Proportion, alpha: number): boolean {
  if (a.n === 0 || b.n === 0) return false;
  const pooled = (a.count + b.count) / (a.n + b.n);
  const y = a.n * kl(a.count / a.n, pooled) + b.n * kl(b.count / b.n, pooled) - 2 * Math.LN2;
  return y > 0 && (1 + y) * Math.exp(-y) < alpha;
}

/** The smallest count of n that is too many; n + 1 when none is. */
export function criticalCount(n: number, p: number, alpha: number): number {
  let low = Math.floor(n * p);
  let high = n + 1;
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (isTooMany(middle, n, p, alpha)) high = middle;
    else low = middle;
  }
  return high;
}

/** P(a count of n is found too many for `p`) when each trial really counts with probability `p1` > p. Exact. */
export function power(n: number, p: number, p1: number, alpha: number): number {
  return upperTail(criticalCount(n, p, alpha), n, p1);
}

/** The smallest number of trials with which a mean of `p1` is found too many for `p` with probability ≥ 1 - miss. */
export function trialsFor(p: number, p1: number, alpha: number, miss: number): number {
  if (p1 <= p) return Infinity;
  const suffices = (n: number): boolean => power(n, p, p1, alpha) >= 1 - miss;
  let high = 8;
  while (!suffices(high)) {
    high *= 2;
    if (high > 1e8) return Infinity;
  }
  let low = high / 2;
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (suffices(middle)) high = middle;
    else low = middle;
  }
  // Power dips a little wherever the critical count steps up, about every 1/p trials: go on until three steps do without.
  const ahead = p === 0 ? 0 : Math.min(1_000, Math.ceil(3 / p));
  let needed = high;
  for (let n = high; n <= needed + ahead; n++) if (!suffices(n)) needed = n + 1;
  return needed;
}

/** The smallest number of trials among which something that happens in a share `p1` of them is seen with probability ≥ 1 - miss. */
export function trialsToSee(p1: number, miss: number): number {
  if (p1 <= 0) return Infinity;
  return p1 >= 1 ? 1 : Math.ceil(Math.log(miss) / Math.log1p(-p1));
}

/**
 * The smallest number of trials with which variables in [0, 1] whose mean is `p1` are found too many for `p` with probability
 * ≥ 1 - miss, whatever their distribution: Hoeffding's bound on both sides.
 */
export function boundedTrialsFor(p: number, p1: number, alpha: number, miss: number): number {
  if (p1 <= p) return Infinity;
  const suffices = (n: number): boolean => {
    // The mean above which n trials are too many for p, and the probability that a mean of p1 stays below it.
    const critical = bisect((mean) => mean > p && n * kl(mean, p) > Math.log(1 / alpha));
    return critical < p1 && n * kl(critical, p1) >= Math.log(1 / miss);
  };
  let high = 1;
  while (!suffices(high)) {
    high *= 2;
    if (high > 1e8) return Infinity;
  }
  let low = high / 2;
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (suffices(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** P(X ≥ count) for X ~ Binomial(n, p), exact up to rounding. */
export function upperTail(count: number, n: number, p: number): number {
  if (count <= 0) return 1;
  if (count > n || p <= 0) return 0;
  if (p >= 1) return 1;
  // The smaller tail is summed, so that nothing is lost by cancellation.
  return count > n * p ? tailSum(count, n, p, 1) : 1 - tailSum(count - 1, n, p, -1);
}

/** P(X ≤ count): the upper tail of the failures. */
function lowerTail(count: number, n: number, p: number): number {
  return upperTail(n - count, n, 1 - p);
}

function tailSum(from: number, n: number, p: number, step: 1 | -1): number {
  let term = Math.exp(
    lnFactorial(n) - lnFactorial(from) - lnFactorial(n - from) + from * Math.log(p) + (n - from) * Math.log1p(-p),
  );
  let sum = 0;
  for (let k = from; k >= 0 && k <= n; k += step) {
    sum += term;
    if (term < sum * 1e-17) break;
    const ratio = p / (1 - p);
    term *= step === 1 ? ((n - k) / (k + 1)) * ratio : k / (n - k + 1) / ratio;
  }
  return Math.min(1, sum);
}

/** ln n!: exact sums for small n, Stirling's series above (error < 1e-15 relative). */
function lnFactorial(n: number): number {
  if (n < smallFactorials.length) return smallFactorials[n]!;
  const x = n + 1;
  return (
    (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5)
  );
}

const smallFactorials = Array.from({ length: 32 }, () => 0);
for (let n = 2; n < smallFactorials.length; n++) smallFactorials[n] = smallFactorials[n - 1]! + Math.log(n);

/** The interval that contains a proportion with confidence ≥ 1 - alpha, whatever it is (Clopper, Pearson 1934). */
export function clopperPearson(
  count: number,
  n: number,
  alpha: number,
): { readonly low: number; readonly high: number } {
  if (n === 0) return { low: 0, high: 1 };
  const low = count === 0 ? 0 : bisect((p) => upperTail(count, n, p) > alpha / 2);
  const high = count === n ? 1 : bisect((p) => lowerTail(count, n, p) < alpha / 2);
  return { low, high };
}

/** The smallest p in [0, 1] for which `holds`, which is false below some p and true above. */
function bisect(holds: (p: number) => boolean): number {
  let low = 0;
  let high = 1;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return (low + high) / 2;
}

/** The value below which `share` of the sorted values lie: the smallest with at least so many at or below it. */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0;
  // Products such as 0.07 · 100 come out a little too large, and must not be rounded up to the next rank.
  const rank = Math.ceil(share * sorted.length - 1e-9);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}

/**
 * A mean with its confidence interval from batches of consecutive values, whose means are nearly independent even where the
 * values aren't (Law, Kelton: batch means). 32 batches; `confidence` 0.999 (t = 3.633 at 31 degrees of freedom).
 */
export function batchMeans(values: readonly number[]): {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
} {
  const batches = 32;
  const size = Math.floor(values.length / batches);
  if (size === 0) throw new RangeError(`${values.length} values are too few for ${batches} batches`);
  const means = Array.from({ length: batches }, (_, batch) => {
    let sum = 0;
    for (let index = batch * size; index < (batch + 1) * size; index++) sum += values[index]!;
    return sum / size;
  });
  const mean = means.reduce((sum, one) => sum + one, 0) / batches;
  const variance = means.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (batches - 1);
  const half = 3.633 * Math.sqrt(variance / batches);
  return { mean, low: mean - half, high: mean + half };
}

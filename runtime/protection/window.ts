/**
 * Counts (or sums of whole numbers) of a few kinds over the last while: a ring of buckets, so that adding and asking cost the same
 * however many came.
 */
export class SlidingWindow {
  readonly #bucketUs: number;
  readonly #buckets: number;
  readonly #kinds: number;
  readonly #counts: Float64Array;
  readonly #sums: Float64Array;
  /** The number of the newest bucket since time began. */
  #newest = 0;

  /** `buckets` parts of `windowUs`, the youngest of which is not over yet; so the window is up to one part shorter. */
  constructor({
    windowUs,
    buckets,
    kinds,
  }: {
    readonly windowUs: number;
    readonly buckets: number;
    readonly kinds: number;
  }) {
    this.#bucketUs = windowUs / buckets;
    this.#buckets = buckets;
    this.#kinds = kinds;
    this.#counts = new Float64Array(buckets * kinds);
    this.#sums = new Float64Array(kinds);
  }

  add(kind: number, nowUs: number, amount = 1): void {
    this.#moveTo(nowUs);
    this.#counts[(this.#newest % this.#buckets) * this.#kinds + kind]! += amount;
    this.#sums[kind]! += amount;
  }

  /** How many of this kind came within the window. */
  count(kind: number, nowUs: number): number {
    this.#moveTo(nowUs);
    return this.#sums[kind]!;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#sums.fill(0);
  }

  #moveTo(nowUs: number): void {
    const now = Math.floor(nowUs / this.#bucketUs);
    if (now <= this.#newest) return;
    const passed = now - this.#newest;
    if (passed >= this.#buckets) {
      this.#newest = now;
      this.clear();
      return;
    }
    for (let step = 0; step < passed; step++) {
      this.#newest++;
      const at = (this.#newest % this.#buckets) * this.#kinds;
      for (let kind = 0; kind < this.#kinds; kind++) {
        this.#sums[kind]! -= this.#counts[at + kind]!;
        this.#counts[at + kind] = 0;
      }
    }
  }
}

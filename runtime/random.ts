import { murmur3 } from "./numbers.ts";
import type { Random } from "./ports/random.ts";

/**
 * xoshiro128** (Blackman, Vigna 2018, https://prng.di.unimi.it), its state filled by SplitMix32 from the seed. `fork(label)`
 * seeds a new stream from this one's seed and the label, never from its position.
 */
export function createRandom(seed: number): Random {
  return new Xoshiro128(seed | 0, 0);
}

class Xoshiro128 implements Random {
  readonly #high: number;
  readonly #low: number;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(high: number, low: number) {
    this.#high = high;
    this.#low = low;
    let state = (high ^ Math.imul(low, 0x9e3779b9)) | 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state ^ (state >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = next();
    this.#b = next() ^ low;
    this.#c = next();
    // All zero is the one state that the generator can't leave.
    this.#d = next() | 1;
  }

  uint32(): number {
    const b5 = Math.imul(this.#b, 5);
    const result = Math.imul((b5 << 7) | (b5 >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  float(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  below(bound: number): number {
    if (!(bound >= 1 && bound <= 0x100000000)) throw new RangeError(`below(${bound}): a bound is in [1, 2^32]`);
    // Values from the last, incomplete round of `bound` would favour small results: draw again.
    const limit = 0x100000000 - (0x100000000 % bound);
    for (;;) {
      const draw = this.uint32();
      if (draw < limit) return draw % bound;
    }
  }

  fork(label: string): Random {
    return new Xoshiro128(murmur3(label, this.#high), murmur3(label, this.#low ^ 0x5bd1e995));
  }
}

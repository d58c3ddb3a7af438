import { md5 } from "../md5.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { keyOf, keyPaths } from "./hash-key.ts";

/**
 * Jump consistent hash (Lamping, Veach 2014, https://arxiv.org/abs/1406.2294): a call goes to the bucket of its key, and the buckets are
 * the instances in the directory's order. No ring and no memory: shares are even, and a pick is O(ln n). An instance that is added at
 * the end takes 1/(n + 1) of the keys, from everybody alike, and no other key moves. But buckets have numbers and no names: one that
 * leaves from the middle moves those behind it up, and most of their keys with them. `arguments` as for "consistent-hash". A call
 * without a key goes to a random endpoint. Weights don't count, but 0 takes no traffic.
 */
export const jumpHash: BalancerPolicy = ({ random }, settings) => {
  const paths = keyPaths(settings?.hash ?? {});
  const among = eligible();
  return (endpoints) => {
    const pool = among(endpoints);
    return {
      pick(call) {
        if (pool.length < 2) return pool[0];
        const key = keyOf(call, paths);
        if (key === undefined) return pool[random.below(pool.length)];
        const [low, high] = md5(key);
        return pool[jumpBucket({ low, high }, pool.length)];
      },
    };
  };
};

/** The bucket, 0 to `buckets` - 1, of a key of 64 bits: two words of 32. */
export function jumpBucket({ low, high }: { readonly low: number; readonly high: number }, buckets: number): number {
  let [bucket, next] = [0, 0];
  while (next < buckets) {
    bucket = next;
    // key = key · 2862933555777941757 + 1, modulo 2^64, in words: a product of two words has its upper one from their halves.
    const product = (low & 0xffff) * factor.low;
    const upper = Math.floor(((low >>> 16) * factor.low + Math.floor(product / 0x10000)) / 0x10000);
    const lower = Math.imul(low, factor.low) >>> 0;
    high = (upper + Math.imul(high, factor.low) + Math.imul(low, factor.high)) >>> 0;
    low = (lower + 1) >>> 0;
    if (low === 0) high = (high + 1) >>> 0;
    next = Math.floor((bucket + 1) * (0x80000000 / ((high >>> 1) + 1)));
  }
  return bucket;
}

/** 2862933555777941757, the multiplier of the paper. */
const factor = { low: 0x87b0b0fd, high: 0x27bb2ee6 };

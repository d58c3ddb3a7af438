import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Endpoint } from "../discovery/endpoint.ts";
import { call, endpoint, isImplausible } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { jumpBucket, jumpHash } from "./jump-hash.ts";

const servers = (count: number): Endpoint[] =>
  Array.from({ length: count }, (_, index) => endpoint({ id: `orders/${index}` }));
const keyed = (key: string) => call({ request: key });
const of = () => jumpHash({ random: createRandom(1) }, {});

const words = (key: bigint) => ({ low: Number(key & 0xffffffffn), high: Number(key >> 32n) });

/** The paper's own program, in the arithmetic that it was written for. */
function published(key: bigint, buckets: number): number {
  let [bucket, next] = [-1, 0];
  while (next < buckets) {
    bucket = next;
    key = BigInt.asUintN(64, key * 2862933555777941757n + 1n);
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(key >> 33n) + 1)));
  }
  return bucket;
}

describe("the bucket of a key", () => {
  test.each([
    [0xdead10ccn, 666, 361],
    [256n, 1024, 520],
    [0n, 1, 0],
    [10863919174838991n, 11, 6],
  ])("V24: of the published vector %s among %i is %i", (key, buckets, bucket) => {
    expect(jumpBucket(words(key), buckets)).toBe(bucket);
  });

  test("is what the paper's program says, of every key of 64 bits", () => {
    const keys = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 100_000 }), (key, buckets) => {
        expect(jumpBucket(words(key), buckets)).toBe(published(key, buckets));
      }),
      {
        examples: [
          [2n ** 64n - 1n, 1000],
          [0n, 100_000],
        ],
      },
    );
  });
});

describe("the balancer", () => {
  test("V24: the 101st instance takes 1/101 of the keys, and no key moves anywhere else", () => {
    const all = servers(101);
    const balancer = of();
    const [before, after] = [balancer(all.slice(0, 100)), balancer(all)];
    const keys = 50_000;
    let moved = 0;
    for (let index = 0; index < keys; index++) {
      const now = after.pick(keyed(`u${index}`));
      if (now === before.pick(keyed(`u${index}`))) continue;
      moved++;
      expect(now).toBe(all[100]);
    }
    expect(isImplausible(moved, keys, 1 / 101)).toBe(false);
  });

  test("the shares are even, unlike a ring's", () => {
    const all = servers(20);
    const picker = of()(all);
    const counts = new Map<Endpoint | undefined, number>();
    const calls = 40_000;
    for (let index = 0; index < calls; index++) {
      const picked = picker.pick(keyed(`u${index}`));
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    for (const one of all) expect(isImplausible(counts.get(one)!, calls, 1 / 20)).toBe(false);
  });

  test("an instance that leaves from the front moves nearly every key: buckets have no names", () => {
    const all = servers(10);
    const balancer = of();
    const [before, after] = [balancer(all), balancer(all.slice(1))];
    const keys = Array.from({ length: 2000 }, (_, index) => keyed(`u${index}`));
    const moved = keys.filter((key) => before.pick(key) !== after.pick(key)).length;
    expect(moved).toBeGreaterThan(1900);
  });

  test("a key keeps its instance, and a call without one goes to any", () => {
    const picker = jumpHash({ random: createRandom(1) }, { hash: { arguments: "0.user" } })(servers(10));
    const picked = Array.from({ length: 20 }, () => picker.pick(call({ request: { user: "ann" } })));
    expect(new Set(picked).size).toBe(1);
    expect(new Set(Array.from({ length: 200 }, () => picker.pick(call({ request: {} })))).size).toBe(10);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Endpoint } from "../discovery/endpoint.ts";
import { call, endpoint, pool } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import type { Balancer, Picker } from "./balancer.ts";
import { smoothWeightedRoundRobin } from "./smooth-weighted-round-robin.ts";

const anyCall = call();
const balancer = (): Balancer => smoothWeightedRoundRobin({ random: createRandom(1) });

function sequence(picker: Picker, length: number): string {
  return Array.from({ length }, () => picker.pick(anyCall)!.id.split("/")[1]).join("");
}

const weightLists = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 });

/** Picks so far minus share so far, for each endpoint after each pick of a cycle. */
function deviations(weights: readonly number[]): readonly number[] {
  const endpoints = pool(...weights);
  const picker = balancer()(endpoints);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const counts = weights.map(() => 0);
  return Array.from({ length: total }, (_, pick) => {
    counts[endpoints.indexOf(picker.pick(anyCall)!)]!++;
    return weights.map((weight, index) => counts[index]! - ((pick + 1) * weight) / total);
  }).flat();
}

describe("smooth weighted round-robin", () => {
  test("picks as nginx does", () => {
    expect(sequence(balancer()(pool(5, 1, 1)), 14)).toBe("00102000010200");
    expect(sequence(balancer()(pool(1, 2, 3)), 12)).toBe("210212210212");
    expect(sequence(balancer()(pool(1, 1, 1)), 6)).toBe("012012");
  });

  test("gives each its exact weight in every stretch of sum-of-weights picks, wherever it begins", () => {
    fc.assert(
      fc.property(weightLists, fc.nat({ max: 100 }), (weights, start) => {
        const endpoints = pool(...weights);
        const picker = balancer()(endpoints);
        for (let pick = 0; pick < start; pick++) picker.pick(anyCall);
        const counts = weights.map(() => 0);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let pick = 0; pick < total; pick++) counts[endpoints.indexOf(picker.pick(anyCall)!)]!++;
        expect(counts).toEqual(weights);
      }),
    );
  });

  test("is never a whole pick ahead of a share", () => {
    fc.assert(
      fc.property(weightLists, (weights) => {
        expect(Math.max(...deviations(weights))).toBeLessThanOrEqual(1 - 1 / weights.length + 1e-9);
      }),
    );
  });

  test("is never a whole pick behind a share either, with all weights up to 6 of up to 4 endpoints", () => {
    let lists: number[][] = [[]];
    for (let size = 1; size <= 4; size++) {
      lists = lists.flatMap((list) => [1, 2, 3, 4, 5, 6].map((weight) => [...list, weight]));
      for (const weights of lists) if (Math.min(...deviations(weights)) <= -1) expect.fail(String(weights));
    }
  });

  test("goes on where it was when the picker is replaced, however often", () => {
    fc.assert(
      fc.property(weightLists, fc.infiniteStream(fc.boolean()), (weights, replacements) => {
        const undisturbed = balancer()(pool(...weights));
        const disturbed = balancer();
        let picker = disturbed(pool(...weights));
        for (let pick = 0; pick < 50; pick++) {
          // New objects for the same identities, as after a push from the registry.
          if (replacements.next().value === true) picker = disturbed(pool(...weights));
          expect(picker.pick(anyCall)!.id).toBe(undisturbed.pick(anyCall)!.id);
        }
      }),
    );
  });

  test("goes on in a retry's subset, and lets nobody forget", () => {
    const of = balancer();
    const all = pool(1, 1, 1);
    const picker = of(all);
    expect(sequence(picker, 1)).toBe("0");
    // 1 and 2 are equally far behind; the retry takes 1, so 2 is next for everybody.
    expect(sequence(of(all.slice(1)), 1)).toBe("1");
    expect(sequence(picker, 1)).toBe("2");
  });

  test("never picks weight 0, and nothing when no weight is left", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 10 }), (weights) => {
        const picker = balancer()(pool(...weights));
        for (let pick = 0; pick < 20; pick++) {
          const picked = picker.pick(anyCall);
          expect(picked === undefined).toBe(weights.every((weight) => weight === 0));
          if (picked !== undefined) expect(picked.weight).toBeGreaterThan(0);
        }
      }),
    );
  });

  test("forgets identities that are long gone, never those of its current list", () => {
    const of = balancer();
    const survivors = pool(3, 2, 1);
    const undisturbed = balancer()(survivors);
    const passing = (generation: number): readonly Endpoint[] =>
      [0, 1, 2].map((index) => endpoint({ id: `gone-${generation}/${index}`, weight: 1 }));
    for (let generation = 0; generation < 3000; generation++) {
      expect(of(passing(generation)).pick(anyCall)!.id).toBe(`gone-${generation}/0`);
      expect(of(survivors).pick(anyCall)!.id).toBe(undisturbed.pick(anyCall)!.id);
    }
    expect(of(passing(2999)).pick(anyCall)!.id).toBe("gone-2999/1");
    expect(of(passing(0)).pick(anyCall)!.id).toBe("gone-0/0");
  });

  // https://github.com/apache/dubbo/issues/15762: of those that a fleet grew by in the morning, some had far more than the others.
  test("many that warm up at once share alike; where each new weight takes a position away, as in Dubbo, the first have most", () => {
    const of = balancer();
    const [ours, forgetful] = [0, 1].map(() => Array.from({ length: 20 }, () => 0)) as [number[], number[]];
    const credits = new Map<string, number>();
    for (let weight = 1; weight <= 100; weight++) {
      const endpoints = pool(...Array.from({ length: 20 }, (_, index) => (index < 5 ? 100 : weight)));
      for (const { key } of endpoints.slice(5)) credits.set(key, 0);
      const picker = of(endpoints);
      for (let pick = 0; pick < 11; pick++) {
        ours[endpoints.indexOf(picker.pick(anyCall)!)]!++;
        forgetful[endpoints.indexOf(naive(endpoints, credits))]!++;
      }
    }
    const spread = (counts: readonly number[]): number => Math.max(...counts.slice(5)) - Math.min(...counts.slice(5));
    expect(spread(ours)).toBeLessThanOrEqual(2);
    expect(spread(forgetful)).toBeGreaterThan(20);
  });

  test("is nginx's sequence exactly, through any changes of list, order and weights", () => {
    const all = pool(...[1, 1, 2, 2, 2, 5, 7, 7, 1, 3]);
    const lists = fc.array(fc.shuffledSubarray([...all], { minLength: 1 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 40 }), (subsets, picks) => {
        const of = balancer();
        const credits = new Map<string, number>();
        for (const subset of subsets) {
          const picker = of(subset);
          for (let pick = 0; pick < picks; pick++) expect(picker.pick(anyCall)).toBe(naive(subset, credits));
        }
      }),
    );
  });
});

/** nginx's loop, word for word. One that stands alone is no choice, and costs nothing. */
function naive(endpoints: readonly Endpoint[], credits: Map<string, number>): Endpoint {
  if (endpoints.length === 1) return endpoints[0]!;
  let best: Endpoint | undefined;
  let total = 0;
  for (const one of endpoints) {
    total += one.weight;
    credits.set(one.key, (credits.get(one.key) ?? 0) + one.weight);
    if (best === undefined || credits.get(one.key)! > credits.get(best.key)!) best = one;
  }
  credits.set(best!.key, credits.get(best!.key)! - total);
  return best!;
}

import { expect, test } from "vitest";

import type { BalancerPolicy } from "../runtime/balancing/balancer.ts";
import { balancers } from "../runtime/balancing/table.ts";
import { call, occupy, pool } from "../runtime/fixtures.ts";
import { createRandom } from "../runtime/random.ts";
import { isTooFew, isTooMany } from "../harness/judge/statistics.ts";
import { loadCalls } from "../harness/judge/summary.ts";
import { measure } from "./measure.ts";

/** What power of two choices does to the longest queue, and what a dead instance costs (reference: validation V13, V14, V21, V23). */

const n = 4096;

/** The fullest of n bins after n balls, each of which stays where the balancer puts it. */
function fullest(policy: BalancerPolicy, seed: number): number {
  const bins = pool(...new Array<number>(n).fill(1));
  const picker = policy({ random: createRandom(seed) })(bins);
  const one = call();
  for (let ball = 0; ball < n; ball++) {
    const bin = picker.pick(one)!;
    occupy(bin, bin.stats.inFlight + 1);
  }
  return Math.max(...bins.map(({ stats }) => stats.inFlight));
}

test("V14: of 4,096 bins the fullest has 3 or 4 balls of as many with two choices, and 5 to 9 with one", () => {
  const seeds = Array.from({ length: 10 }, (_, index) => index + 1);
  const two = seeds.map((seed) => fullest(balancers["p2c"]!, seed));
  const one = seeds.map((seed) => fullest(balancers["uniform-random"]!, seed));
  expect(
    two.every((most) => most === 3 || most === 4),
    two.join(),
  ).toBe(true);
  expect(
    one.every((most) => most >= 5 && most <= 10),
    one.join(),
  ).toBe(true);
});

test("V13: with two choices at 0.8 the share of queues with i calls at least is 0.8^(2^i - 1)", async () => {
  const servers = 200;
  const lambda = 0.8;
  const history = await measure({ instances: servers, utilisation: lambda, calls: 30_000, balancer: "p2c" });
  const calls = loadCalls(history);
  // The calls at each instance over time, looked at at moments far enough apart to tell something new each.
  const events = calls
    .flatMap(({ attempts }) => attempts)
    .flatMap(({ instance, beginUs, endUs }) => [
      { atUs: beginUs, instance, change: 1 },
      { atUs: endUs, instance, change: -1 },
    ])
    .sort((a, b) => a.atUs - b.atUs);
  const [fromUs, toUs] = [calls[Math.floor(calls.length / 10)]!.beginUs, calls.at(-1)!.beginUs];
  const at = new Map<string, number>();
  const longer = [0, 0, 0, 0, 0];
  let looks = 0;
  let nextUs = fromUs;
  for (const { atUs, instance, change } of events) {
    while (nextUs <= atUs && nextUs < toUs) {
      looks++;
      for (const length of at.values()) for (let i = 1; i < longer.length && i <= length; i++) longer[i]!++;
      nextUs += 20_000;
    }
    at.set(instance, (at.get(instance) ?? 0) + change);
  }
  expect(looks).toBeGreaterThan(5);
  // Who is busy says what load this draw of arrivals and times really was: 1 % more of it is 7 % more queues of three.
  const offered = longer[1]! / looks / servers;
  expect(Math.abs(offered - lambda)).toBeLessThan(0.03);
  for (let i = 2; i < longer.length; i++) {
    const share = longer[i]! / looks / servers;
    const expected = offered ** (2 ** i - 1);
    // Queues of 200 servers at a moment: the longer, the rarer, the less is seen of them.
    expect(Math.abs(share - expected), `P(Q ≥ ${i}): ${share}, ${expected} expected`).toBeLessThan(
      0.03 * expected + 0.012,
    );
    // One choice would have 0.8^i.
    expect(share).toBeLessThan(0.9 * offered ** i);
  }
});

test("V21: least active is uniform for a caller of one call at a time (apache/dubbo#9330)", async () => {
  // Calls so far apart that each is over before the next one begins.
  const history = await measure({
    instances: 3,
    utilisation: 0.001,
    calls: 3_000,
    balancer: "leastactive",
    serviceTime: "none",
  });
  const calls = loadCalls(history);
  for (const id of ["servers/0", "servers/1", "servers/2"]) {
    const count = calls.filter(({ attempts }) => attempts[0]!.instance === id).length;
    expect(isTooMany(count, calls.length, 1 / 3, 1e-9) || isTooFew(count, calls.length, 1 / 3, 1e-9)).toBe(false);
  }
});

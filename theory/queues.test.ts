import { expect, test } from "vitest";

import { batchMeans, quantile } from "../harness/judge/statistics.ts";
import { measure, settled, timesInSystem } from "./measure.ts";

/** Long runs are for CI: a queue at 90 % forgets slowly. */
const isLong = process.env["FLYBALL_LONG"] === "1";

/** Closed forms (reference: validation V1, V2, V6, V12); service mean 1. */

test.each(isLong ? [0.5, 0.8, 0.9] : [0.5, 0.8])("V1: one server at %s is an M/M/1 queue", async (rho) => {
  const history = await measure({ instances: 1, utilisation: rho, calls: rho > 0.85 ? 1_000_000 : 150_000 });
  const times = timesInSystem(history);
  const { low, high } = batchMeans(times);
  expect(low).toBeLessThan(1 / (1 - rho));
  expect(high).toBeGreaterThan(1 / (1 - rho));
  // The interval has to be narrow enough to mean something.
  expect(high - low).toBeLessThan(0.3 / (1 - rho));
  // The time in system is exponential: its p99 is ln 100 times the mean.
  const p99 = quantile(
    times.toSorted((a, b) => a - b),
    0.99,
  );
  expect(p99 * (1 - rho)).toBeGreaterThan(Math.log(100) * 0.8);
  expect(p99 * (1 - rho)).toBeLessThan(Math.log(100) * 1.25);
});

/** Erlang C: the probability that a call waits, by the stable recursion of Erlang B. */
function erlangC(servers: number, load: number): number {
  let blocking = 1;
  for (let i = 1; i <= servers; i++) blocking = (load * blocking) / (i + load * blocking);
  const rho = load / servers;
  return blocking / (1 - rho * (1 - blocking));
}

test.each([
  [2, 0.8, 0.7111],
  [10, 0.8, 0.4092],
  [10, 0.9, 0.6687],
])("V2: %i workers at %s wait as Erlang's C formula says", async (workers, rho, expectedC) => {
  const c = erlangC(workers, workers * rho);
  expect(c).toBeCloseTo(expectedC, 4);
  const history = await measure({
    instances: 1,
    capacity: workers,
    utilisation: rho,
    calls: isLong ? 600_000 : 150_000,
  });
  const { low, high } = batchMeans(timesInSystem(history));
  const expected = 1 + c / (workers * (1 - rho));
  expect(low).toBeLessThan(expected);
  expect(high).toBeGreaterThan(expected);
  expect(high - low).toBeLessThan(0.35 * expected);
});

test("V6: L = λT, whatever the policy", async () => {
  for (const balancer of ["weighted-random", "p2c", "least-active", "smooth-weighted-round-robin"]) {
    const history = await measure({ instances: 4, utilisation: 0.7, calls: 40_000, balancer });
    const calls = settled(history);
    const fromUs = calls[0]!.beginUs;
    const toUs = calls.at(-1)!.beginUs;
    // The mean number in system, by sweeping over arrivals and departures …
    const changes = calls.flatMap(({ beginUs, endUs }) => [[beginUs, 1] as const, [endUs, -1] as const]);
    changes.sort(([a], [b]) => a - b);
    let inSystem = 0;
    let area = 0;
    let lastUs = fromUs;
    for (const [atUs, change] of changes) {
      if (atUs > toUs) break;
      area += inSystem * (atUs - lastUs);
      inSystem += change;
      lastUs = atUs;
    }
    const l = area / (toUs - fromUs);
    // … against arrival rate times mean time, from the judge's own records.
    const lambda = calls.length / (toUs - fromUs);
    const t = calls.reduce((sum, call) => sum + call.endUs - call.beginUs, 0) / calls.length;
    expect(Math.abs(l / (lambda * t) - 1)).toBeLessThan(0.005);
  }
});

/** Mitzenmacher 2001: mean time in system when each call joins the shorter of two random queues, n → ∞. */
function supermarket(lambda: number): number {
  let sum = 0;
  for (let i = 1; i < 20; i++) sum += lambda ** (2 ** i - 2);
  return sum;
}

test.each(isLong ? [0.5, 0.8, 0.9] : [0.8])(
  "V12: power of two choices over 1,000 servers at %s is the supermarket model",
  async (lambda) => {
    const calls = isLong ? 1_000_000 : 150_000;
    const history = await measure({ instances: 1000, utilisation: lambda, calls, balancer: "p2c" });
    const { low, high, mean } = batchMeans(timesInSystem(history));
    const expected = supermarket(lambda);
    expect(expected).toBeCloseTo({ 0.5: 1.2657, 0.8: 1.9474, 0.9: 2.6141 }[lambda]!, 3);
    // A thousand servers are not infinitely many: a bias of at most half a percent is known.
    expect(low).toBeLessThan(expected * 1.005);
    expect(high).toBeGreaterThan(expected * 0.995);
    expect(Math.abs(mean / expected - 1)).toBeLessThan(isLong ? 0.02 : 0.04);
  },
  600_000,
);

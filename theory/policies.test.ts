import { expect, test } from "vitest";

import { isTooFew, isTooMany } from "../harness/judge/statistics.ts";
import { loadCalls } from "../harness/judge/summary.ts";
import { measure } from "./measure.ts";

/** Exact and binomial results (reference: validation V19, V20, V28), through the whole product. */

test("V19: smooth weighted round-robin with weights 5:1:1 repeats a a b a c a a", async () => {
  const history = await measure({
    instances: 3,
    weights: [5, 1, 1],
    utilisation: 0.05,
    calls: 700,
    balancer: "smooth-weighted-round-robin",
    serviceTime: "none",
  });
  // The warm-up moved the cycle on: it is read from where the load finds it.
  const picks = loadCalls(history).map(({ attempts }) => "abc"[Number(attempts[0]!.instance.split("/")[1])]!);
  const cycle = "aabacaa";
  const text = picks.join("");
  const offset = [...cycle].findIndex((_, shift) => text.startsWith(cycle.slice(shift) + cycle));
  expect(offset).toBeGreaterThanOrEqual(0);
  expect(text).toBe(cycle.repeat(Math.ceil(text.length / 7) + 1).slice(offset, offset + text.length));
});

test("V20: weighted random gives each instance its weight's share", async () => {
  const weights = [50, 100, 150, 200];
  const history = await measure({ instances: 4, weights, utilisation: 0.05, calls: 20_000, serviceTime: "none" });
  const calls = loadCalls(history);
  for (const [index, weight] of weights.entries()) {
    const count = calls.filter(({ attempts }) => attempts[0]!.instance === `servers/${index}`).length;
    expect(isTooMany(count, calls.length, weight / 500, 1e-9), `${count} of ${calls.length}`).toBe(false);
    expect(isTooFew(count, calls.length, weight / 500, 1e-9), `${count} of ${calls.length}`).toBe(false);
  }
});

test.each([
  [0.1, 3],
  [0.5, 3],
  [0.5, 1],
  [0.9, 3],
])("V28: at a failure rate of %s, %i retries succeed and cost as the formula says", async (f, retries) => {
  const success = 1 - f ** (retries + 1);
  const history = await measure({
    instances: 8,
    utilisation: 0.05,
    calls: 20_000,
    serviceTime: "none",
    errorRate: f,
    retries,
    successAtLeast: Math.max(0.01, success - 0.05),
  });
  const calls = loadCalls(history);
  const ok = calls.filter(({ code }) => code === "OK").length;
  expect(isTooMany(ok, calls.length, success, 1e-9)).toBe(false);
  expect(isTooFew(ok, calls.length, success, 1e-9)).toBe(false);
  // Attempts per call: a truncated geometric variable between 1 and r + 1.
  const extra = calls.reduce((sum, { attempts }) => sum + attempts.length - 1, 0) / retries;
  const load = (1 - f ** (retries + 1)) / (1 - f);
  expect(isTooMany(extra, calls.length, (load - 1) / retries, 1e-9)).toBe(false);
  expect(isTooFew(extra, calls.length, (load - 1) / retries, 1e-9)).toBe(false);
});

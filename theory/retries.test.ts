import { expect, test } from "vitest";

import { nodeHost } from "../harness/cli/host.ts";
import { loadCalls } from "../harness/judge/summary.ts";
import { runScenario } from "../harness/run.ts";
import { at, constant, consumer, provider, scenario, successRate } from "../harness/scenario/builders.ts";
import type { History } from "../harness/history/history.ts";
import type { CallsSpec } from "../harness/scenario/schema.ts";
import { simWorld } from "../harness/worlds/sim/world.ts";
import { measure } from "./measure.ts";

/** The boundary of metastable failures (reference: validation V29 to V31), through the whole product. */

/** 100 calls a second at most, who gives up after 300 ms is worked for all the same, and stops for `stallS` at second 2. */
async function stalled(perSecond: number, stallS: number, settings: Omit<Partial<CallsSpec>, "service">) {
  const value = scenario({
    name: "theory",
    title: { en: "A stall", zh: "停顿" },
    explanation: { en: "Does it end?", zh: "会结束吗？" },
    tags: [],
    fleet: {
      clients: consumer({ instances: 1, calls: "servers", timeout: "1200ms", attemptTimeout: "300ms", ...settings }),
      servers: provider({ instances: 1, capacity: 1, serviceTime: "10ms", queueMax: 100_000, servesAbandoned: true }),
    },
    load: constant(`${perSecond}/s`).on("clients").for("40s"),
    timeline: [at("2s").pause("servers/0", { for: `${stallS}s` })],
    expect: [successRate("servers").atLeast(0.1).detects(0)],
  });
  const free = { kind: "constant" as const, us: 0 };
  const world = simWorld({ host: await nodeHost(), parameters: { link: free } });
  const { history } = await runScenario(value, { world, seed: 1 });
  return { goodput: goodput(history), amplification: amplification(history) };
}

/** Of the calls of the last ten seconds. */
const late = (history: History) => loadCalls(history).filter(({ dueUs }) => dueUs >= 30_000_000);
const goodput = (history: History): number => {
  const calls = late(history);
  return calls.filter(({ code }) => code === "OK").length / calls.length;
};
const amplification = (history: History): number => {
  const calls = late(history);
  return calls.reduce((sum, { attempts }) => sum + attempts.length, 0) / calls.length;
};

test.each([
  // μ / (1 + r) = 50 and 25: below it a fleet recovers, above it never does.
  [1, 40, true],
  [1, 60, false],
  [3, 20, true],
  [3, 35, false],
  [0, 70, true],
])("V30: with %i retries at %i/s of 100 a stall of 5 s ends: %s", async (retries, perSecond, isWell) => {
  const { goodput: served, amplification: factor } = await stalled(perSecond, 5, { retries });
  expect(served > 0.99).toBe(isWell);
  if (!isWell) expect(served).toBeLessThan(0.1);
  if (!isWell) expect(factor).toBeGreaterThan(retries + 0.9);
});

test.each([
  ["grpc", { policy: "grpc", maxTokens: 10, tokenRatio: 0.1 }],
  ["envoy", { policy: "envoy", budgetPercent: 10, minRetryConcurrency: 0 }],
  ["finagle", { policy: "finagle", percentCanRetry: 0.1, minRetriesPerSec: 0 }],
] as const)("V30: with a budget of %s it ends at every load", async (_, retryBudget) => {
  for (const perSecond of [55, 70]) {
    expect((await stalled(perSecond, 5, { retries: 3, retryBudget })).goodput).toBeGreaterThan(0.99);
  }
});

test("V31: the trigger's size decides: a short stall ends by itself, a longer one never does", async () => {
  expect((await stalled(70, 0.25, { retries: 1 })).goodput).toBeGreaterThan(0.99);
  expect((await stalled(70, 3, { retries: 1 })).goodput).toBeLessThan(0.1);
});

test.each([0.05, 0.3, 0.9])(
  "V29: a token bucket of 0.1 a success adds at most that at a failure rate of %s, after its burst",
  async (errorRate) => {
    const history = await measure({
      instances: 4,
      utilisation: 0.05,
      calls: 5_000,
      serviceTime: "none",
      errorRate,
      retries: 3,
      retryBudget: { policy: "grpc", maxTokens: 10, tokenRatio: 0.1 },
      successAtLeast: 0.05,
    });
    const attempts = history.calls.flatMap((call) => call.attempts);
    const extra = attempts.length - history.calls.length;
    const successes = attempts.filter(({ code }) => code === "OK").length;
    // The upper half of ten tokens is the burst.
    expect(extra).toBeLessThanOrEqual(5 + 0.1 * successes);
    // Where failures are fewer than that nearly all are retried; beyond it hardly any is, and the load goes to 1.
    if (errorRate < 0.1) expect(extra).toBeGreaterThan(0.9 * (attempts.length - successes));
    else expect(extra).toBeLessThan(0.01 * history.calls.length);
  },
);

test("V23: until a crash is noticed round-robin loses λ / n calls a second, and none after", async () => {
  const value = scenario({
    name: "theory",
    title: { en: "A crash", zh: "宕机" },
    explanation: { en: "What does it cost?", zh: "代价是多少？" },
    tags: [],
    fleet: {
      clients: consumer({ instances: 1, calls: "servers", timeout: "1s", retries: 0, balancer: "round-robin" }),
      servers: provider({ instances: 4 }),
    },
    load: constant("100/s").on("clients").for("20s"),
    timeline: [at("2s").kill("servers/1")],
    expect: [successRate("servers").atLeast(0.1).detects(0)],
  });
  const { history } = await runScenario(value, { world: simWorld({ host: await nodeHost() }), seed: 1 });
  const failed = loadCalls(history).filter(({ code }) => code !== "OK");
  const lostUs = failed.at(-1)!.dueUs - failed[0]!.dueUs;
  expect(failed.every(({ attempts }) => attempts[0]!.instance === "servers/1")).toBe(true);
  expect(Math.abs(failed.length - (lostUs / 1e6) * (100 / 4) - 1)).toBeLessThanOrEqual(1);
  // The session's time, and what the registry needs to look.
  expect(lostUs / 1e6).toBeGreaterThan(2);
  expect(lostUs / 1e6).toBeLessThan(9);
});

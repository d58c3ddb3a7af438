import { expect, test } from "vitest";

import { nodeHost } from "../harness/cli/host.ts";
import { loadCalls } from "../harness/judge/summary.ts";
import { runScenario } from "../harness/run.ts";
import { constant, consumer, provider, scenario, successRate } from "../harness/scenario/builders.ts";
import type { CallsSpec } from "../harness/scenario/schema.ts";
import { simWorld } from "../harness/worlds/sim/world.ts";

/**
 * Collapse by contention (reference: validation V33; mbrooker/simulator_example), through the whole product. Work takes
 * 100 ms · (1 + N / 10) with N others beside it, so that at a load of λ it takes T = 0.1 / (1 - λ / 100) seconds: its caller's patience
 * of 300 ms ends at 67 calls a second. Three tries make three times the load of it, which only ends below 22.
 */
const rampS = 30;
const top = 75;
const bottom = 2;

/** The loads, in calls a second, at which it breaks down on the way up, and at which it is well again on the way down. */
async function turningPoints(settings: Omit<Partial<CallsSpec>, "service">) {
  const value = scenario({
    name: "theory",
    title: { en: "Contention", zh: "争用" },
    explanation: { en: "Where does it break down, and where does it end?", zh: "在哪里崩溃，在哪里结束？" },
    tags: [],
    fleet: {
      clients: consumer({ instances: 1, calls: "servers", timeout: "10s", attemptTimeout: "300ms", ...settings }),
      servers: provider({ instances: 1, serviceTime: "100ms", contention: "10%", servesAbandoned: true }),
    },
    load: constant(`${bottom}/s`)
      .ramp(`${top}/s`)
      .for(`${rampS}s`)
      .ramp(`${bottom}/s`)
      .for(`${rampS}s`)
      .then(`${bottom}/s`)
      .for("60s")
      .on("clients"),
    timeline: [],
    expect: [successRate("servers").atLeast(0.01).detects(0)],
  });
  const { history } = await runScenario(value, { world: simWorld({ host: await nodeHost() }), seed: 1 });
  const failedS = loadCalls(history)
    .filter(({ code }) => code !== "OK")
    .map(({ dueUs }) => dueUs / 1e6);
  const slope = (top - bottom) / rampS;
  const lastS = failedS.at(-1)!;
  return {
    down: bottom + slope * failedS[0]!,
    up: Math.max(bottom, top - slope * (lastS - rampS)),
    /** It is well for the last twenty seconds, at the lowest load. */
    isWell: lastS < 2 * rampS + 40,
  };
}

test("V33: without retries it is well again where it broke down, and with a budget too", async () => {
  for (const settings of [
    { retries: 0 },
    { retries: 2, retryBudget: { policy: "grpc", maxTokens: 10, tokenRatio: 0.1 } },
  ] as const) {
    const { down, up, isWell } = await turningPoints(settings);
    expect(down).toBeGreaterThan(64);
    expect(down).toBeLessThan(71);
    expect(up).toBeGreaterThan(0.9 * down);
    expect(isWell).toBe(true);
  }
});

test("V33: with retries it goes the same way up, and comes back far below: backoff with jitter changes nothing in an open system", async () => {
  const retry = {
    maxAttempts: 3,
    initialBackoff: "500ms",
    maxBackoff: "2s",
    retryableStatusCodes: ["DEADLINE_EXCEEDED" as const, "UNAVAILABLE" as const],
  };
  for (const settings of [{ retries: 2 }, { retry }]) {
    const { down, up, isWell } = await turningPoints(settings);
    expect(down).toBeGreaterThan(64);
    expect(down).toBeLessThan(71);
    // Three tries of each call fit below 22 a second, and what has piled up has to go as well.
    expect(up).toBeLessThan(22);
    expect(isWell).toBe(true);
  }
});

import { expect, test } from "vitest";

import { attemptsAtMost, clusterOf, contradictionIn } from "./settings.ts";
import { clusters } from "./table.ts";

test("without a name it is failover, or hedging where there is a hedging policy", () => {
  expect(clusterOf({})).toBe("failover");
  expect(clusterOf({ hedging: {} })).toBe("hedging");
  expect(clusterOf({ cluster: "failfast" })).toBe("failfast");
});

test("settings that contradict one another, or that nobody reads, are named with what to do", () => {
  const wrong = [
    { retry: {}, retries: 1 },
    { retry: {}, retryOn: ["INTERNAL"] },
    { retry: {}, cluster: "failfast" },
    { retry: { initialBackoffMs: 2000 } },
    { hedging: {}, retry: {} },
    { hedging: {}, cluster: "failover" },
    { hedging: {}, idempotent: false },
    { cluster: "forking", idempotent: false },
    { forking: { forks: 2 } },
    { broadcast: {}, cluster: "failsafe" },
    { failback: { tasks: 1 }, cluster: "failover" },
    { zoneAware: { zone: "east" } },
  ] as const;
  for (const settings of wrong) {
    const { message, hint } = contradictionIn(settings) ?? {};
    expect(message, JSON.stringify(settings)).toBeDefined();
    expect(hint).not.toBe("");
  }
  const right = [
    {},
    { retry: { maxAttempts: 4 } },
    { retry: {}, cluster: "zone-aware", zoneAware: { zone: "east" } },
    { hedging: { maxAttempts: 3 } },
    { retries: 0, idempotent: false },
    { cluster: "broadcast", broadcast: { failPercent: 20 }, idempotent: false },
  ] as const;
  for (const settings of right) expect(contradictionIn(settings)).toBeUndefined();
});

test("so many attempts does a call make at most, by its strategy", () => {
  const most = (settings: Parameters<typeof attemptsAtMost>[0]): number => attemptsAtMost(settings, 4);
  expect(most({})).toBe(3);
  expect(most({ retries: 0 })).toBe(1);
  expect(most({ retry: {} })).toBe(3);
  expect(most({ retry: { maxAttempts: 9 } })).toBe(5);
  expect(most({ hedging: { maxAttempts: 4 } })).toBe(4);
  expect(most({ cluster: "forking" })).toBe(2);
  expect(most({ cluster: "forking", forking: { forks: 0 } })).toBe(4);
  expect(most({ cluster: "forking", forking: { forks: 9 } })).toBe(4);
  expect(most({ cluster: "broadcast" })).toBe(4);
  for (const cluster of ["failfast", "failsafe", "failback", "available"]) expect(most({ cluster })).toBe(1);
});

test("the table names every strategy of Dubbo's, and hedging", () => {
  expect(Object.keys(clusters).sort()).toEqual(
    [
      "available",
      "broadcast",
      "failback",
      "failfast",
      "failover",
      "failsafe",
      "forking",
      "hedging",
      "zone-aware",
    ].sort(),
  );
});

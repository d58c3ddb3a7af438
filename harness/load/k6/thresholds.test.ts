import fc from "fast-check";
import { expect, test } from "vitest";

import { falseAlarmMax } from "../../judge/check.ts";
import { isTooMany } from "../../judge/statistics.ts";
import { consumer, latency, poisson, provider, successRate } from "../../scenario/builders.ts";
import { k6Plan } from "./fixture.ts";
import { k6Thresholds } from "./thresholds.ts";

/** k6's own percentile: linear between ranks (https://github.com/grafana/k6, metrics/sink.go). */
function k6Percentile(sorted: readonly number[], percent: number): number {
  const index = (percent / 100) * (sorted.length - 1);
  const below = sorted[Math.floor(index)]!;
  const above = sorted[Math.ceil(index)]!;
  return below + (above - below) * (index - Math.floor(index));
}

test("checks of what the gateways call become thresholds; what they can't see doesn't", () => {
  const plan = k6Plan();
  const thresholds = k6Thresholds(plan);
  expect(thresholds.map(({ check, metric }) => [check.name, metric])).toEqual([
    ["orders success ≥ 99%", "http_req_failed"],
    ["orders success ≥ 90%", "http_req_failed{c1:in}"],
    ["orders p90 ≤ 300 ms", "http_req_duration"],
  ]);
  const all = plan.drives.flatMap(({ dueUs }) => dueUs);
  expect(thresholds.map(({ trials }) => trials)).toEqual([
    all.length,
    all.filter((due) => due >= 1e6 && due < 2e6).length,
    all.length,
  ]);
});

test("with gateways of several services, each is held by its own requests", () => {
  const plan = k6Plan({
    fleet: {
      web: consumer({ instances: 1, calls: "orders" }),
      app: consumer({ instances: 1, calls: "stock" }),
      orders: provider(),
      stock: provider(),
    },
    load: [poisson("100/s").on("web").for("3s"), poisson("50/s").on("app").for("3s")],
    expect: [successRate("stock").atLeast("99%").detects("60%")],
  });
  const [threshold, ...rest] = k6Thresholds(plan);
  expect(rest).toEqual([]);
  expect([...threshold!.nodes]).toEqual(["app/0"]);
  expect(threshold!.tag).toBe("c0");
  expect(threshold!.trials).toBe(plan.drives.find(({ node }) => node === "app/0")!.dueUs.length);
});

test("a success threshold is crossed by exactly as many failures as the judge finds too many", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 9000, max: 9990 }),
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (atLeast, seed, share) => {
        const plan = k6Plan(
          {
            expect: [
              successRate("orders")
                .atLeast(atLeast / 10_000)
                .detects("50%"),
            ],
          },
          seed,
        );
        const [{ expression, trials }] = k6Thresholds(plan) as [ReturnType<typeof k6Thresholds>[number]];
        const limit = Number(/^rate<(.+)$/.exec(expression)![1]);
        // Around the limit, and anywhere.
        for (const bad of [Math.floor(share * trials), Math.round(limit * trials), Math.round(limit * trials) - 1]) {
          expect(bad / trials < limit).toBe(!isTooMany(bad, trials, 1 - atLeast / 10_000, falseAlarmMax));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("a latency threshold is crossed by exactly as many slow requests as the judge finds too many", () => {
  fc.assert(
    fc.property(fc.integer({ min: 600, max: 990 }), fc.integer({ min: 1, max: 50 }), (percentile, seed) => {
      const check = latency("orders")
        .percentile(percentile / 10, "300ms")
        .detects("80%");
      const plan = k6Plan({ expect: [check] }, seed);
      const [{ expression, trials }] = k6Thresholds(plan) as [ReturnType<typeof k6Thresholds>[number]];
      const [, percent, limitMs] = /^p\(([\d.]+)\)<=(\d+)$/.exec(expression)!;
      const p = 1 - percentile / 1000;
      for (let slow = 0; slow <= trials; slow++) {
        const times = [...Array<number>(trials - slow).fill(300), ...Array<number>(slow).fill(301)];
        const isHeld = k6Percentile(times, Number(percent)) <= Number(limitMs) + 1e-6;
        expect(isHeld, `${slow} of ${trials} slow`).toBe(!isTooMany(slow, trials, p, falseAlarmMax));
      }
    }),
    { numRuns: 20 },
  );
});

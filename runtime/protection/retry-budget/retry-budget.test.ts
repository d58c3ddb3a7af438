import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ManualClock } from "../../testing/clock.ts";
import type { RetryBudget, RetryBudgetSettings } from "./retry-budget.ts";
import { retryBudgets } from "./table.ts";

const make = (policy: string, settings: Partial<RetryBudgetSettings> = {}, clock = new ManualClock()): RetryBudget =>
  retryBudgets[policy]!({ policy, ...settings }, { clock });

/** Retries that are allowed one after the other. */
function allowed(budget: RetryBudget): number {
  let count = 0;
  while (count < 100_000 && budget.take()) count++;
  return count;
}

describe("grpc", () => {
  test("with 10 tokens four failures may be retried and the fifth may not; then eleven successes are needed", () => {
    const budget = make("grpc");
    const retried = (): boolean => {
      budget.failed();
      return budget.take();
    };
    expect([retried(), retried(), retried(), retried(), retried()]).toEqual([true, true, true, true, false]);
    for (let success = 0; success < 10; success++) budget.succeeded();
    expect(retried()).toBe(false);
    // 5 + 1 - 1 = 5 tokens again: eleven more bring 6.1, and a failure leaves 5.1.
    for (let success = 0; success < 11; success++) budget.succeeded();
    expect(retried()).toBe(true);
  });

  test("allows at most maxTokens / 2 + ratio · successes retries, in every order of failures and successes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 1000 }),
        fc.array(fc.boolean(), { maxLength: 400 }),
        (maxTokens, thousandths, ends) => {
          const budget = make("grpc", { maxTokens, tokenRatio: thousandths / 1000 });
          let retries = 0;
          let successes = 0;
          for (const isSuccess of ends) {
            if (isSuccess) {
              budget.succeeded();
              successes++;
            } else {
              budget.failed();
              if (budget.take()) retries++;
            }
          }
          expect(retries).toBeLessThanOrEqual(maxTokens / 2 + (thousandths / 1000) * successes + 1e-9);
        },
      ),
    );
  });
});

describe("finagle", () => {
  test("has 100 retries when idle, and 300 after 1,000 calls", () => {
    expect(allowed(make("finagle"))).toBe(100);
    const busy = make("finagle");
    for (let call = 0; call < 1000; call++) busy.began();
    expect(allowed(busy)).toBe(300);
  });

  test("forgets calls after the ttl, and what was spent as well", async () => {
    const clock = new ManualClock();
    const budget = make("finagle", { minRetriesPerSec: 0 }, clock);
    for (let call = 0; call < 100; call++) budget.began();
    await clock.advance(8_000_000);
    expect(allowed(budget)).toBe(20);
    await clock.advance(1_000_000);
    expect(budget.take()).toBe(false);
    await clock.advance(30_000_000);
    expect(budget.take()).toBe(false);
    for (let call = 0; call < 10; call++) budget.began();
    expect(allowed(budget)).toBe(2);
  });

  test("never allows more in a ttl than its share of the calls and its reserve", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ calls: fc.nat({ max: 30 }), pauseMs: fc.nat({ max: 900 }) }), {
          minLength: 1,
          maxLength: 30,
        }),
        async (steps) => {
          const clock = new ManualClock();
          const budget = make("finagle", { minRetriesPerSec: 2, ttlMs: 1000 }, clock);
          const began: number[] = [];
          const retried: number[] = [];
          for (const { calls, pauseMs } of steps) {
            for (let call = 0; call < calls; call++) {
              budget.began();
              began.push(clock.nowUs());
            }
            for (let count = allowed(budget); count > 0; count--) retried.push(clock.nowUs());
            // In one ttl: whatever its slices still hold, of calls made in it or just before.
            const from = clock.nowUs() - 1_000_000;
            const calledLately = began.filter((atUs) => atUs > from - 1_000_000).length;
            expect(retried.filter((atUs) => atUs > from).length).toBeLessThanOrEqual(2 * 2 + 0.2 * calledLately + 1);
            await clock.advance(pauseMs * 1000);
          }
        },
      ),
    );
  });
});

describe("envoy", () => {
  test("allows three retries at a time, or a fifth of the calls under way", () => {
    const few = make("envoy");
    for (let call = 0; call < 10; call++) few.began();
    expect(allowed(few)).toBe(3);
    few.returned();
    expect(allowed(few)).toBe(1);
    const many = make("envoy");
    for (let call = 0; call < 100; call++) many.began();
    expect(allowed(many)).toBe(20);
    for (let call = 0; call < 50; call++) many.ended();
    for (let retry = 0; retry < 10; retry++) many.returned();
    expect(many.take()).toBe(false);
    many.returned();
    expect(many.take()).toBe(true);
  });

  test("never has more under way than it allows", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("begin", "end", "take", "return"), { maxLength: 200 }), (steps) => {
        const budget = make("envoy", { budgetPercent: 25, minRetryConcurrency: 2 });
        let calls = 0;
        let retries = 0;
        for (const step of steps) {
          if (step === "begin") {
            budget.began();
            calls++;
          } else if (step === "end" && calls > 0) {
            budget.ended();
            calls--;
          } else if (step === "return" && retries > 0) {
            budget.returned();
            retries--;
          } else if (step === "take") {
            const before = retries;
            if (budget.take()) retries++;
            expect(retries > before).toBe(before < Math.max(2, Math.floor(calls / 4)));
          }
        }
      }),
    );
  });
});

test("unlimited never says no", () => {
  const budget = make("unlimited");
  for (let failure = 0; failure < 1000; failure++) budget.failed();
  expect(allowed(budget)).toBe(100_000);
});

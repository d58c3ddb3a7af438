import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { RpcError } from "../call/status.ts";
import type { RetryBudget } from "../protection/retry-budget/retry-budget.ts";
import { ClusterWorld, down, noInstance, ok, type Behaviour } from "./fixtures.ts";
import { hedging } from "./hedging.ts";

const slow: Behaviour = { tookUs: 1_000_000 };
const times = ({ sent }: ClusterWorld): number[] => sent.map(({ atUs }) => atUs);

describe("hedging", () => {
  test("sends attempt k after (k - 1) delays, each to another instance, and cancels the losers", async () => {
    const world = new ClusterWorld({ size: 5, behave: (attempt) => (attempt === 2 ? { tookUs: 30_000 } : slow) });
    const { response, atUs } = await world.run(hedging, { hedging: { maxAttempts: 4, hedgingDelayMs: 20 } }, 100_000);
    expect(response).toBeDefined();
    expect(times(world)).toEqual([0, 20_000, 40_000, 60_000]);
    expect(atUs).toBe(70_000);
    expect(world.sent.map(({ id }) => id)).toEqual(["orders/0", "orders/1", "orders/2", "orders/3"]);
    expect(world.sent.map(({ wasCancelled }) => wasCancelled)).toEqual([true, true, false, true]);
    expect(world.sent.map(({ previous }) => previous)).toEqual([0, 1, 2, 3]);
    // The call's own deadline.
    expect(world.clock.pending).toBe(1);
  });

  test("sends no hedge when the first answer is in time", async () => {
    const world = new ClusterWorld({ behave: () => ok });
    await world.run(hedging, { hedging: { hedgingDelayMs: 20 } });
    expect(world.sent).toHaveLength(1);
  });

  test("sends all at once without a delay", async () => {
    const world = new ClusterWorld({ behave: () => slow });
    await world.run(hedging, { hedging: { maxAttempts: 3, hedgingDelayMs: 0 } });
    expect(times(world)).toEqual([0, 0, 0]);
  });

  test("a failure that isn't fatal sends the next at once, and the pauses begin anew", async () => {
    const world = new ClusterWorld({
      size: 5,
      behave: (attempt) => (attempt === 0 ? { ...down, tookUs: 5000 } : slow),
    });
    await world.run(hedging, { hedging: { maxAttempts: 3, hedgingDelayMs: 20 } });
    expect(times(world)).toEqual([0, 5000, 25_000]);
  });

  test("a fatal failure ends the call and every attempt", async () => {
    const world = new ClusterWorld({ behave: (attempt) => (attempt === 1 ? { code: "INVALID_ARGUMENT" } : slow) });
    const { error, atUs } = await world.run(hedging, { hedging: { maxAttempts: 3, hedgingDelayMs: 20 } });
    expect((error as RpcError).code).toBe("INVALID_ARGUMENT");
    expect(atUs).toBe(21_000);
    expect(world.sent.map(({ wasCancelled }) => wasCancelled)).toEqual([true, false]);
  });

  test("fails with the last error when all have failed", async () => {
    const world = new ClusterWorld({ behave: () => down });
    const { error } = await world.run(hedging, { hedging: { maxAttempts: 3 } });
    expect(world.sent).toHaveLength(3);
    expect((error as RpcError).message).toBe("attempt 3");
  });

  test("a server moves the next attempt by its pushback, or stops the hedges while what is under way goes on", async () => {
    const moved = new ClusterWorld({
      size: 5,
      behave: (attempt) => (attempt === 0 ? { ...down, pushback: "300" } : slow),
    });
    await moved.run(hedging, { hedging: { maxAttempts: 3, hedgingDelayMs: 20 } });
    expect(times(moved)).toEqual([0, 301_000, 321_000]);
    const stopped = new ClusterWorld({
      size: 5,
      behave: (attempt) => (attempt === 0 ? { ...down, tookUs: 25_000, pushback: "-1" } : { tookUs: 30_000 }),
    });
    const { response } = await stopped.run(hedging, { hedging: { maxAttempts: 4, hedgingDelayMs: 20 } });
    expect(response).toBeDefined();
    expect(times(stopped)).toEqual([0, 20_000]);
  });

  test("says why there is no instance; ends with its call and leaves no timer", async () => {
    expect((await new ClusterWorld({ size: 0, behave: () => ok }).run(hedging)).error).toBe(noInstance);
    const world = new ClusterWorld({ behave: () => slow, timeoutUs: 30_000 });
    const { error } = await world.run(hedging, { hedging: { maxAttempts: 5, hedgingDelayMs: 20 } });
    expect((error as RpcError).code).toBe("DEADLINE_EXCEEDED");
    expect(times(world)).toEqual([0, 20_000]);
    expect(world.clock.pending).toBe(0);
  });

  test("an attempt that never left is made elsewhere beside the count", async () => {
    const world = new ClusterWorld({
      size: 5,
      behave: (attempt) => (attempt === 0 ? { ...down, reach: "nowhere" } : slow),
    });
    await world.run(hedging, { hedging: { maxAttempts: 2, hedgingDelayMs: 20 } });
    expect(world.sent.map(({ atUs, isTransparent }) => [atUs, isTransparent])).toEqual([
      [0, false],
      [1000, true],
      [20_000, false],
    ]);
  });

  test("makes as many attempts as allowed at most, each instance once while there is another, and gives back what it took of the budget", async () => {
    const behaviour = fc.record({
      code: fc.constantFrom<NonNullable<Behaviour["code"]>>("OK", "UNAVAILABLE", "INTERNAL", "own timeout"),
      tookUs: fc.integer({ min: 0, max: 100_000 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 6 }),
        fc.array(behaviour, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 2, max: 5 }),
        fc.integer({ min: 0, max: 50 }),
        fc.nat({ max: 4 }),
        async (size, behaviours, maxAttempts, hedgingDelayMs, tokens) => {
          let taken = 0;
          let left = tokens;
          const budget: RetryBudget = {
            began: () => undefined,
            ended: () => undefined,
            succeeded: () => undefined,
            failed: () => undefined,
            take: () => {
              if (left === 0) return false;
              left--;
              taken++;
              return true;
            },
            returned: () => {
              taken--;
            },
          };
          const world = new ClusterWorld({
            size,
            behave: (attempt) => behaviours[attempt % behaviours.length]!,
            timeoutUs: 120_000,
            budget,
          });
          const { response } = await world.run(hedging, { hedging: { maxAttempts, hedgingDelayMs } }, 1_000_000);
          const { sent } = world;
          expect(sent.length).toBeLessThanOrEqual(size === 0 ? 0 : Math.min(maxAttempts, tokens + 1));
          expect(new Set(sent.map(({ id }) => id)).size).toBe(Math.min(size, sent.length));
          expect(taken).toBe(0);
          if (response !== undefined) {
            const winners = sent.filter(
              ({ wasCancelled }, index) => !wasCancelled && behaviours[index % behaviours.length]!.code === "OK",
            );
            expect(winners.length).toBeGreaterThan(0);
          }
          world.call.end();
          expect(world.clock.pending).toBe(0);
        },
      ),
    );
  });
});

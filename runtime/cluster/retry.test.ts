import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { metadata } from "../call/metadata.ts";
import { RpcError, type Reach, type RpcCode } from "../call/status.ts";
import { retryBudgets } from "../protection/retry-budget/table.ts";
import { createRandom } from "../random.ts";
import { failover } from "./failover.ts";
import { ClusterWorld, down, ok, type Behaviour } from "./fixtures.ts";
import { backoffUs, pushbackOf } from "./retry.ts";

const gaps = ({ sent }: ClusterWorld): number[] => sent.slice(1).map(({ atUs }, index) => atUs - sent[index]!.atUs);

describe("gRPC's retry policy", () => {
  test("pauses 0.1 s × 2 up to 1 s, each ± 20 %: the windows of the specification", () => {
    const windows = [
      [80, 120],
      [160, 240],
      [320, 480],
      [640, 960],
      [800, 1200],
    ] as const;
    for (let seed = 1; seed <= 200; seed++) {
      const random = createRandom(seed);
      windows.forEach(([low, high], index) => {
        const pauseMs =
          backoffUs({ initialBackoffMs: 100, backoffMultiplier: 2, maxBackoffMs: 1000 }, index + 1, random) / 1000;
        expect(pauseMs).toBeGreaterThanOrEqual(low);
        expect(pauseMs).toBeLessThanOrEqual(high);
      });
    }
  });

  test("counts the first attempt, tells each instance which attempt it is, and makes no more than five", async () => {
    for (const [maxAttempts, made] of [
      [2, 2],
      [4, 4],
      [9, 5],
    ] as const) {
      const world = new ClusterWorld({ size: 9, behave: () => down });
      const { error } = await world.run(failover, { retry: { maxAttempts } });
      expect(world.sent.map(({ previous }) => previous)).toEqual(Array.from({ length: made }, (_, index) => index));
      expect((error as RpcError).message).toBe(`attempt ${made}`);
    }
  });

  test("tries again what it names and an attempt's own timeout, and nothing else", async () => {
    const attempts = async (behaviour: Behaviour, retryableStatusCodes?: RpcCode[]): Promise<number> => {
      const world = new ClusterWorld({ behave: () => behaviour });
      await world.run(failover, { retry: { retryableStatusCodes } });
      return world.sent.length;
    };
    expect(await attempts(down)).toBe(3);
    expect(await attempts(down, ["RESOURCE_EXHAUSTED"])).toBe(1);
    expect(await attempts({ code: "RESOURCE_EXHAUSTED" }, ["RESOURCE_EXHAUSTED"])).toBe(3);
    expect(await attempts({ code: "own timeout" })).toBe(3);
    expect(await attempts({ code: "INTERNAL" })).toBe(1);
  });

  test("waits exactly as long as the server asks, and begins its pauses anew after that", async () => {
    const world = new ClusterWorld({
      size: 9,
      behave: (attempt) => (attempt === 1 ? { ...down, pushback: "700" } : down),
    });
    await world.run(failover, { retry: { maxAttempts: 4, initialBackoffMs: 100, backoffMultiplier: 3 } });
    const [first, second, third] = gaps(world).map((gap) => gap - 1000);
    expect(first).toBeGreaterThanOrEqual(80_000);
    expect(first).toBeLessThanOrEqual(120_000);
    expect(second).toBe(700_000);
    expect(third).toBeGreaterThanOrEqual(80_000);
    expect(third).toBeLessThanOrEqual(120_000);
  });

  test("makes no attempt after a server that asks for none, however it asks", async () => {
    for (const pushback of ["-1", "", "soon", "10,20", "1.5", "99999999999"]) {
      for (const settings of [{}, { retry: {} }]) {
        const world = new ClusterWorld({ behave: () => ({ ...down, pushback }) });
        await world.run(failover, settings);
        expect(world.sent, pushback).toHaveLength(1);
      }
    }
  });

  test("doesn't wait for an attempt that would begin past the deadline", async () => {
    const world = new ClusterWorld({ behave: () => ({ ...down, pushback: "900" }), timeoutUs: 500_000 });
    const { error, atUs } = await world.run(failover, { retry: {} });
    expect((error as RpcError).message).toBe("attempt 1");
    expect(atUs).toBe(1000);
  });

  test("leaves no timer when the caller cancels during a pause", async () => {
    const world = new ClusterWorld({ behave: () => down });
    const running = world.run(failover, { retry: { initialBackoffMs: 1000 } }, 500_000);
    const { clock, call } = world;
    clock.after(100_000, () => call.cancel());
    expect((await running).error).toMatchObject({ message: "attempt 1" });
    expect(world.sent).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});

describe("transparent retries", () => {
  const refused: Behaviour = { ...down, reach: "nowhere" };
  const unseen: Behaviour = { ...down, reach: "server" };

  test("an attempt that never left goes to every other instance at once, and counts against nothing", async () => {
    const world = new ClusterWorld({ size: 6, behave: (attempt) => (attempt < 4 ? refused : ok) });
    const { response } = await world.run(failover, { retry: { maxAttempts: 2 } });
    expect(response).toBeDefined();
    expect(world.sent.map(({ previous, isTransparent, atUs }) => [previous, isTransparent, atUs])).toEqual([
      [0, false, 0],
      [0, true, 1000],
      [0, true, 2000],
      [0, true, 3000],
      [0, true, 4000],
    ]);
  });

  test("with no other instance left it is a retry like any other", async () => {
    const world = new ClusterWorld({ size: 2, behave: () => refused });
    await world.run(failover, { retry: { maxAttempts: 2 } });
    expect(world.sent.map(({ isTransparent }) => isTransparent)).toEqual([false, true, false]);
  });

  test("what a server refused before a handler saw it goes out once more, once a call", async () => {
    const world = new ClusterWorld({ size: 9, behave: () => unseen });
    await world.run(failover, { retry: { maxAttempts: 3 } });
    expect(world.sent.map(({ isTransparent, previous }) => [isTransparent, previous])).toEqual([
      [false, 0],
      [true, 0],
      [false, 1],
      [false, 2],
    ]);
  });

  test("Dubbo's retries count every attempt", async () => {
    const world = new ClusterWorld({ size: 9, behave: () => refused });
    await world.run(failover, { retries: 2 });
    expect(world.sent).toHaveLength(3);
  });
});

test("a call that isn't idempotent is made again only if no handler saw it, and nobody repeats one whose answer had begun", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Reach>("nowhere", "server", "application", "answered"),
      fc.boolean(),
      fc.constantFrom("Dubbo", "gRPC"),
      fc.constantFrom<Behaviour["code"]>("UNAVAILABLE", "own timeout"),
      async (reach, idempotent, style, code) => {
        const world = new ClusterWorld({ behave: () => ({ code, reach }) });
        await world.run(failover, { idempotent, ...(style === "gRPC" && { retry: {} }) });
        const isSafe = reach === "nowhere" || reach === "server";
        const isRepeated = reach !== "answered" && (idempotent || isSafe);
        expect(world.sent.length > 1).toBe(isRepeated);
      },
    ),
  );
});

test("reads a pushback only where it is one number that isn't negative", () => {
  const read = (value?: string) =>
    pushbackOf(
      new RpcError("", {
        code: "UNAVAILABLE",
        ...(value !== undefined && { trailers: metadata({ "grpc-retry-pushback-ms": value }) }),
      }),
    );
  expect(read()).toBeUndefined();
  expect(read("0")).toEqual({ kind: "after", delayUs: 0 });
  expect(read("250")).toEqual({ kind: "after", delayUs: 250_000 });
  for (const wrong of ["-1", "x", "", "1,1", "1e3"]) expect(read(wrong)).toEqual({ kind: "never" });
});

test("with everything failing a budget holds the retries of all calls together down to what it says", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 2, max: 20 }),
      fc.integer({ min: 2, max: 5 }),
      async (calls, maxTokens, maxAttempts) => {
        const budget = retryBudgets["grpc"]!(
          { policy: "grpc", maxTokens, tokenRatio: 0.1 },
          { clock: undefined as never },
        );
        let attempts = 0;
        for (let call = 0; call < calls; call++) {
          const world = new ClusterWorld({ size: 9, behave: () => down, budget });
          await world.run(failover, { retry: { maxAttempts, initialBackoffMs: 1 } });
          attempts += world.sent.length;
        }
        // Invariant 3 of governance.md: N·maxAttempts without, N + maxTokens / 2 with throttling and no success.
        expect(attempts).toBeLessThanOrEqual(Math.min(calls * maxAttempts, calls + maxTokens / 2));
      },
    ),
    { numRuns: 30 },
  );
});

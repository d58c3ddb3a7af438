import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { rpcCodes, type RpcCode } from "../call/status.ts";
import { call } from "../fixtures.ts";
import type { Clock } from "../ports/clock.ts";
import { failfast } from "./failfast.ts";
import { failover } from "./failover.ts";
import { ClusterWorld, noInstance, reply, type Behaviour } from "./fixtures.ts";

type Code = NonNullable<Behaviour["code"]>;

/** Attempts end like this, in turn; the last one for ever. */
const world = (size: number, codes: readonly Code[], { tookUs = 1000, timeoutUs = 1_000_000 } = {}): ClusterWorld =>
  new ClusterWorld({ size, timeoutUs, behave: (attempt) => ({ code: codes[attempt] ?? codes.at(-1), tookUs }) });

describe("failover", () => {
  test("makes three attempts at three instances, at once, and rejects with the last error", async () => {
    const fleet = world(5, ["UNAVAILABLE"]);
    const { error, atUs } = await fleet.run(failover);
    expect(error).toBe(fleet.errors[2]);
    expect(atUs).toBe(3000);
    expect(fleet.sent.map(({ id }) => id)).toEqual(["orders/0", "orders/1", "orders/2"]);
  });

  test("stops at the first response", async () => {
    const fleet = world(5, ["UNAVAILABLE", "OK"]);
    expect((await fleet.run(failover)).response).toBe(reply);
    expect(fleet.sent).toHaveLength(2);
  });

  test("retries an attempt's own timeout, but not the call's", async () => {
    const own = world(5, ["own timeout", "OK"]);
    expect((await own.run(failover)).response).toBe(reply);
    const whole = world(5, ["DEADLINE_EXCEEDED", "OK"]);
    expect((await whole.run(failover)).error).toBe(whole.errors[0]);
  });

  test("retries other codes only when it is told to", async () => {
    for (const code of rpcCodes) {
      if (code === "OK" || code === "UNAVAILABLE") continue;
      const plain = world(5, [code]);
      await plain.run(failover);
      expect(plain.sent).toHaveLength(1);
      const told = world(5, [code]);
      await told.run(failover, { retryOn: [code] });
      expect(told.sent).toHaveLength(3);
    }
  });

  test("tries the same instance again only when no other is left", async () => {
    const fleet = world(2, ["UNAVAILABLE"]);
    await fleet.run(failover, { retries: 3 });
    expect(new Set(fleet.sent.slice(0, 2).map(({ id }) => id)).size).toBe(2);
    expect(fleet.sent).toHaveLength(4);
  });

  test("never starts an attempt past the call's deadline, nor for a cancelled call", async () => {
    const late = world(5, ["UNAVAILABLE"], { tookUs: 600_000 });
    expect((await late.run(failover)).error).toBe(late.errors[1]);
    expect(late.sent).toHaveLength(2);
    const unwanted = world(5, ["UNAVAILABLE"]);
    unwanted.clock.after(500, () => unwanted.call.cancel());
    expect((await unwanted.run(failover)).error).toBe(unwanted.errors[0]);
    expect(unwanted.sent).toHaveLength(1);
  });

  test("never starts an attempt at the deadline itself, however late the timer that tells of it", async () => {
    const fleet = world(5, ["UNAVAILABLE"]);
    const { clock } = fleet;
    const lateClock: Clock = {
      nowUs: () => clock.nowUs(),
      wallMs: () => clock.wallMs(),
      sleep: (delayUs) => clock.sleep(delayUs),
      after: () => () => undefined,
    };
    fleet.call = call({ clock: lateClock, timeoutUs: 1000 });
    await fleet.run(failover);
    expect(fleet.call.isCancelled).toBe(false);
    expect(fleet.sent).toHaveLength(1);
  });

  test("says why the list is empty, or what the last instance said before it became so", async () => {
    const empty = world(0, ["OK"]);
    expect((await empty.run(failover)).error).toBe(noInstance);
    expect(empty.sent).toEqual([]);
    const emptied = world(1, ["UNAVAILABLE"]);
    emptied.clock.after(500, () => (emptied.endpoints = []));
    expect((await emptied.run(failover)).error).toBe(emptied.errors[0]);
  });

  test("makes at most retries + 1 attempts, at distinct instances while there are any, each after a retryable end", async () => {
    const code = fc.constantFrom<Code>("OK", "UNAVAILABLE", "own timeout", "INTERNAL", "DEADLINE_EXCEEDED");
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 6 }),
        fc.array(code, { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 6 }),
        fc.constantFrom<RpcCode[]>([], ["INTERNAL"]),
        fc.constantFrom(1, 300_001),
        async (size, codes, retries, retryOn, tookUs) => {
          const fleet = world(size, codes, { tookUs });
          const { response, error } = await fleet.run(failover, { retries, retryOn });
          const { sent, errors } = fleet;
          expect(sent.length).toBeLessThanOrEqual(retries + 1);
          expect(new Set(sent.map(({ id }) => id)).size).toBe(Math.min(size, sent.length));
          expect(sent.every(({ atUs }) => atUs < 1_000_000)).toBe(true);
          const isRetryable = (index: number): boolean => {
            const ended = codes[index] ?? codes.at(-1)!;
            return ended === "UNAVAILABLE" || ended === "own timeout" || retryOn.includes(ended);
          };
          for (let index = 0; index < sent.length - 1; index++) expect(isRetryable(index)).toBe(true);
          if (response === undefined) expect(error).toBe(errors.at(-1) ?? noInstance);
          // It doesn't give up early either.
          const hasTime = sent.length * tookUs < 1_000_000;
          if (size > 0 && response === undefined && hasTime && sent.length <= retries) {
            expect(isRetryable(sent.length - 1)).toBe(false);
          }
        },
      ),
    );
  });
});

describe("failfast", () => {
  test("makes one attempt, whatever becomes of it", async () => {
    for (const code of ["UNAVAILABLE", "own timeout", "INTERNAL"] as const) {
      const fleet = world(3, [code]);
      expect((await fleet.run(failfast, { retryOn: ["INTERNAL"] })).error).toBe(fleet.errors[0]);
      expect(fleet.sent).toHaveLength(1);
    }
    expect((await world(3, ["OK"]).run(failfast)).response).toBe(reply);
    expect((await world(0, ["OK"]).run(failfast)).error).toBe(noInstance);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { noMetadata } from "../call/metadata.ts";
import { RpcError, rpcCodes, type RpcCode } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { call, pool } from "../fixtures.ts";
import { ManualClock } from "../testing/clock.ts";
import type { Clock } from "../ports/clock.ts";
import type { UnaryResponse } from "../ports/transport.ts";
import { createRandom } from "../random.ts";
import type { Attempts, ClusterPolicy, ClusterSettings } from "./cluster.ts";
import { failfast } from "./failfast.ts";
import { failover } from "./failover.ts";
import { clusters } from "./table.ts";

/** What an instance does with an attempt: "OK", a code, or the attempt's own time running out. */
type Behaviour = RpcCode | "own timeout";

const noInstance = new RpcError("no instance", { code: "UNAVAILABLE" });

/** One logical call over instances that behave as told, by attempt. Attempts take `tookUs` each. */
function world(size: number, behaviours: readonly Behaviour[], { tookUs = 1000, timeoutUs = 1_000_000 } = {}) {
  const clock = new ManualClock();
  const endpoints = pool(...Array.from({ length: size }, () => 1));
  const tried: Endpoint[] = [];
  const errors: RpcError[] = [];
  const attempts: Attempts = {
    call: call({ clock, timeoutUs }),
    pick: (avoid) => endpoints.find((candidate) => !avoid.includes(candidate)) ?? endpoints[0],
    send: async (endpoint) => {
      const behaviour = behaviours[tried.length] ?? behaviours.at(-1) ?? "OK";
      tried.push(endpoint);
      await clock.advance(tookUs);
      if (behaviour === "OK") return { kind: "response", response: reply };
      const code = behaviour === "own timeout" ? "DEADLINE_EXCEEDED" : behaviour;
      const error = new RpcError(`attempt ${tried.length}`, { code });
      errors.push(error);
      return { kind: "error", error, isOwnTimeout: behaviour === "own timeout" };
    },
    noInstance: () => noInstance,
  };
  return { attempts, tried, errors };
}

const reply: UnaryResponse = { kind: "unary", message: { ok: true }, trailers: noMetadata };

function run(policy: ClusterPolicy, attempts: Attempts, settings: Partial<ClusterSettings> = {}) {
  const ports = { clock: new ManualClock(), random: createRandom(1) };
  return policy(
    { retries: 2, retryOn: [], ...settings },
    ports,
  )(attempts).then(
    (response) => ({ response, error: undefined }),
    (error: unknown) => ({ response: undefined, error }),
  );
}

describe("failover", () => {
  test("makes three attempts at three instances, and rejects with the last error", async () => {
    const { attempts, tried, errors } = world(5, ["UNAVAILABLE"]);
    expect(await run(failover, attempts)).toEqual({ response: undefined, error: errors[2] });
    expect(tried.map(({ id }) => id)).toEqual(["orders/0", "orders/1", "orders/2"]);
  });

  test("stops at the first response", async () => {
    const { attempts, tried } = world(5, ["UNAVAILABLE", "OK"]);
    expect((await run(failover, attempts)).response).toBe(reply);
    expect(tried).toHaveLength(2);
  });

  test("retries an attempt's own timeout, but not the call's", async () => {
    const own = world(5, ["own timeout", "OK"]);
    expect((await run(failover, own.attempts)).response).toBe(reply);
    const whole = world(5, ["DEADLINE_EXCEEDED", "OK"]);
    expect((await run(failover, whole.attempts)).error).toBe(whole.errors[0]);
  });

  test("retries other codes only when it is told to", async () => {
    for (const code of rpcCodes) {
      if (code === "OK" || code === "UNAVAILABLE") continue;
      const plain = world(5, [code]);
      await run(failover, plain.attempts);
      expect(plain.tried).toHaveLength(1);
      const told = world(5, [code]);
      await run(failover, told.attempts, { retryOn: [code] });
      expect(told.tried).toHaveLength(3);
    }
  });

  test("tries the same instance again only when no other is left", async () => {
    const { attempts, tried } = world(2, ["UNAVAILABLE"]);
    await run(failover, attempts, { retries: 3 });
    expect(new Set(tried.slice(0, 2)).size).toBe(2);
    expect(tried).toHaveLength(4);
  });

  test("never starts an attempt past the call's deadline, nor for a cancelled call", async () => {
    const late = world(5, ["UNAVAILABLE"], { tookUs: 600_000 });
    expect((await run(failover, late.attempts)).error).toBe(late.errors[1]);
    expect(late.tried).toHaveLength(2);
    const unwanted = world(5, ["UNAVAILABLE"]);
    const send = unwanted.attempts.send;
    const cancelling: Attempts = {
      ...unwanted.attempts,
      send: (endpoint) => {
        unwanted.attempts.call.cancel();
        return send(endpoint);
      },
    };
    expect((await run(failover, cancelling)).error).toBe(unwanted.errors[0]);
    expect(unwanted.tried).toHaveLength(1);
  });

  test("never starts an attempt at the deadline itself, however late the timer that tells of it", async () => {
    const { attempts, tried } = world(5, ["UNAVAILABLE"]);
    const clock = new ManualClock();
    const lateClock: Clock = {
      nowUs: () => clock.nowUs(),
      wallMs: () => clock.wallMs(),
      sleep: (delayUs) => clock.sleep(delayUs),
      after: () => () => undefined,
    };
    const late = call({ clock: lateClock, timeoutUs: 1000 });
    await clock.advance(1000);
    await run(failover, { ...attempts, call: late });
    expect(late.isCancelled).toBe(false);
    expect(tried).toHaveLength(1);
  });

  test("says why the list is empty, or what the last instance said before it became so", async () => {
    const empty = world(0, ["OK"]);
    expect((await run(failover, empty.attempts)).error).toBe(noInstance);
    expect(empty.tried).toEqual([]);
    const emptied = world(1, ["UNAVAILABLE"]);
    const leaving: Attempts = {
      ...emptied.attempts,
      pick: (tried) => (tried.length === 0 ? emptied.attempts.pick(tried) : undefined),
    };
    expect((await run(failover, leaving)).error).toBe(emptied.errors[0]);
  });

  test("makes at most retries + 1 attempts, at distinct instances while there are any, each after a retryable end", async () => {
    const behaviour = fc.constantFrom<Behaviour>("OK", "UNAVAILABLE", "own timeout", "INTERNAL", "DEADLINE_EXCEEDED");
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 6 }),
        fc.array(behaviour, { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 6 }),
        fc.constantFrom<RpcCode[]>([], ["INTERNAL"]),
        fc.constantFrom(0, 300_000),
        async (size, behaviours, retries, retryOn, tookUs) => {
          const { attempts, tried, errors } = world(size, behaviours, { tookUs });
          const { response, error } = await run(failover, attempts, { retries, retryOn });
          expect(tried.length).toBeLessThanOrEqual(retries + 1);
          expect(new Set(tried).size).toBe(Math.min(size, tried.length));
          expect(tried.length * tookUs).toBeLessThan(1_000_000 + tookUs);
          const isRetryable = (index: number): boolean => {
            const ended = behaviours[index] ?? behaviours.at(-1)!;
            return ended === "UNAVAILABLE" || ended === "own timeout" || retryOn.includes(ended);
          };
          for (let index = 0; index < tried.length - 1; index++) expect(isRetryable(index)).toBe(true);
          if (response === undefined) expect(error).toBe(errors.at(-1) ?? noInstance);
          // It doesn't give up early either.
          const hasTime = tried.length * tookUs < 1_000_000;
          if (size > 0 && response === undefined && hasTime && tried.length <= retries) {
            expect(isRetryable(tried.length - 1)).toBe(false);
          }
        },
      ),
    );
  });
});

describe("failfast", () => {
  test("makes one attempt, whatever becomes of it", async () => {
    for (const behaviour of ["UNAVAILABLE", "own timeout", "INTERNAL"] as const) {
      const { attempts, tried, errors } = world(3, [behaviour]);
      expect((await run(failfast, attempts, { retryOn: ["INTERNAL"] })).error).toBe(errors[0]);
      expect(tried).toHaveLength(1);
    }
    expect((await run(failfast, world(3, ["OK"]).attempts)).response).toBe(reply);
    expect((await run(failfast, world(0, ["OK"]).attempts)).error).toBe(noInstance);
  });
});

test("the table names both", () => {
  expect(clusters).toEqual({ failover, failfast });
});

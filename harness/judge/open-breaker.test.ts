import { describe, expect, test } from "vitest";

import type { Attempt } from "../../runtime/telemetry/events.ts";
import type { History } from "../history/history.ts";
import { openBreaker } from "../scenario/builders.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const check = openBreaker("orders").detects("10%");
const plan = planOf([check], { calls: { breaker: { probes: 2 } } });

const state = (atUs: number, name: string, more: object = {}): History["policies"][number] => ({
  ...{ type: "policy", policy: "breaker", service: "orders", node: "storefront/0", state: name, atUs },
  ...more,
});
/** Open from 2 s to 4 s, then half-open until 4.1 s. */
const policies = [state(2_000_000, "open"), state(4_000_000, "half-open", { value: 2 }), state(4_100_000, "closed")];
/** One call for each 8.3 ms; what comes between 2 s and 4.1 s is turned away, but for what is said. */
const made = (through: (dueUs: number) => Partial<Attempt> | undefined = () => undefined) =>
  calls(960).map((one) => {
    const isShut = one.dueUs > 2_000_000 && one.dueUs < 4_100_000;
    const more = isShut ? through(one.dueUs) : {};
    if (more === undefined) return { ...one, code: "UNAVAILABLE" as const, attempts: [], rejectedBy: "breaker" };
    return { ...one, attempts: one.attempts.map((attempt) => ({ ...attempt, ...more })) };
  });
const judged = (all: History["calls"], more: Partial<History> = {}) =>
  judgeCheck(plan, historyOf(plan, all, { policies, ...more }));

describe("what it counts", () => {
  test("calls that came while it was open, and attempts that were made all the same", () => {
    expect(judged(made())).toMatchObject({
      verdict: "pass",
      observed: "0 of 239",
      bound: "0 get through",
      falseAlarm: 0,
    });
    const leaky = made((dueUs) => (dueUs > 3_000_000 && dueUs < 3_020_000 ? {} : undefined));
    expect(judged(leaky)).toMatchObject({ verdict: "fail", observed: "2 of 239", brokenAtMs: 3_008 });
  });

  test("probes beyond those that the half-open breaker allows; a cancelled one may be made up for", () => {
    const probing = (count: number, code?: "CANCELLED") => {
      let left = count;
      return made((dueUs) => (dueUs > 4_000_000 && left-- > 0 ? { ...(code && left === 0 && { code }) } : undefined));
    };
    expect(judged(probing(2)).verdict).toBe("pass");
    expect(judged(probing(3)).verdict).toBe("fail");
    expect(judged(probing(3, "CANCELLED")).verdict).toBe("pass");
  });

  test("an instance's breaker speaks for its instance only, and a caller's for this caller", () => {
    const own = policies.map((policy) => ({ ...policy, instance: "orders/1" }));
    expect(judged(calls(960), { policies: own }).verdict).toBe("pass");
    expect(
      judged(
        calls(960, () => ({ to: "orders/1" })),
        { policies: own },
      ).verdict,
    ).toBe("fail");
    const others = policies.map((policy) => ({ ...policy, node: "storefront/1" }));
    expect(judged(calls(960), { policies: others }).verdict).toBe("inconclusive");
  });

  test("is inconclusive when none opened, or for too short a time", () => {
    expect(judged(calls(960), { policies: [] })).toMatchObject({ verdict: "inconclusive", observed: "nothing" });
    const short = [state(2_000_000, "open"), state(2_100_000, "half-open"), state(2_100_000, "closed")];
    expect(
      judged(
        calls(960, (index) => (index > 235 && index < 255 ? { code: "UNAVAILABLE" } : {})).map((one) =>
          one.code === "OK" ? one : { ...one, attempts: [] },
        ),
        { policies: short },
      ).verdict,
    ).toBe("inconclusive");
  });
});

test("the plan refuses callers without a breaker", () => {
  expect(() => planOf([check])).toThrow(/nobody calls orders with a breaker/);
});

test("a breaker that lets a tenth through is found in 99 of 100 draws", () => {
  let found = 0;
  for (let seed = 0; seed < 300; seed++) {
    const all = drawnCalls(plan, seed, (due, random) =>
      due > 2_000_000 && due < 4_100_000 && random.float() >= 0.1 ? { code: "UNAVAILABLE" } : {},
    ).map((one) => (one.code === "OK" ? one : { ...one, attempts: [] }));
    if (judged(all).verdict === "fail") found++;
  }
  expect(found).toBeGreaterThanOrEqual(297);
});

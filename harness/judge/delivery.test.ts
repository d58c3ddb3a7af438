import { describe, expect, test } from "vitest";

import { delivery } from "../scenario/builders.ts";
import { call, calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const check = delivery("orders").within("2s").atLeast("98%").detects("90%");
const plan = planOf([check]);

/** Two of three are lost by their own attempts; every redelivery comes `afterUs` later and is served. */
const redelivered = (afterUs: number, share = 1) => {
  const lost = calls(900).filter((_, index) => index % 3 !== 0);
  return [
    ...calls(900).filter((_, index) => index % 3 === 0),
    ...lost.map((one) => ({
      ...one,
      attempts: one.attempts.map((each) => ({ ...each, code: "UNAVAILABLE" as const })),
    })),
    ...lost
      .slice(0, Math.round(lost.length * share))
      .map(({ dueUs, call: first }) => ({ ...call({ dueUs: dueUs + afterUs, to: "orders/1" }), redelivers: first })),
  ];
};

describe("what it counts", () => {
  test("calls that an instance served, whatever the caller heard", () => {
    expect(judgeCheck(plan, historyOf(plan, calls(900)))).toMatchObject({ verdict: "pass", observed: "100%" });
    const heardOk = redelivered(0, 0);
    expect(heardOk.every(({ code }) => code === "OK")).toBe(true);
    expect(judgeCheck(plan, historyOf(plan, heardOk))).toMatchObject({
      verdict: "fail",
      trials: 900,
      message: "525 of 900 calls of orders weren't served in time, 75 of unknown end",
    });
  });

  test("a redelivery, if it comes in time, and not as a call of its own", () => {
    expect(judgeCheck(plan, historyOf(plan, redelivered(1_000_000)))).toMatchObject({ verdict: "pass", trials: 900 });
    expect(judgeCheck(plan, historyOf(plan, redelivered(2_000_000))).verdict).toBe("fail");
  });

  test("what wasn't served when the run ended leaves it open as long as its time wasn't over", () => {
    const longer = planOf([delivery("orders").within("60s").atLeast("98%").detects("90%")]);
    expect(judgeCheck(longer, historyOf(longer, redelivered(0, 0))).verdict).toBe("inconclusive");
  });

  test("every instance, where every one has to hear it", () => {
    const all = planOf([delivery("orders").toEvery().within("2s").atLeast("98%").detects("90%")]);
    expect(judgeCheck(all, historyOf(all, calls(900))).verdict).toBe("fail");
    const everywhere = calls(900).map((one) => ({
      ...one,
      attempts: [0, 1, 2, 3].map((index) => ({ ...one.attempts[0]!, instance: `orders/${index}` })),
    }));
    expect(judgeCheck(all, historyOf(all, everywhere)).verdict).toBe("pass");
  });
});

test("finds what it detects, and leaves alone what it allows", () => {
  const lossy = (seed: number, share: number) =>
    drawnCalls(plan, seed, () => ({})).map((one, index) => {
      const isLost = (index * 7919 + seed * 104_729) % 1000 < share * 1000;
      return isLost ? { ...one, attempts: [] } : one;
    });
  for (let seed = 1; seed <= 20; seed++) {
    expect(judgeCheck(plan, historyOf(plan, lossy(seed, 0.1))).verdict).toBe("fail");
    expect(judgeCheck(plan, historyOf(plan, lossy(seed, 0.02))).verdict).toBe("pass");
  }
});

test("a load that can't feed it is refused, and a bound that allows what it detects", () => {
  expect(() => planOf([delivery("orders").within("1s").atLeast("98%").detects("97%")])).toThrow(/needs/);
  expect(() => planOf([delivery("orders").within("1s").atLeast("90%").detects("95%")])).toThrow(/allows what/);
});

import { describe, expect, test } from "vitest";

import type { Random } from "../../runtime/ports/random.ts";
import { share } from "../scenario/builders.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const equal = planOf([share("orders").byInstance("equal").detects(1.5)], { rate: "185/s" });
const tags = ["v1", "v1", "v2", "v2"];

/** An instance by its weight. */
function drawn(random: Random, weights: readonly number[]): string {
  let left = random.float() * weights.reduce((sum, weight) => sum + weight, 0);
  const index = weights.findIndex((weight) => (left -= weight) < 0);
  return `orders/${index < 0 ? weights.length - 1 : index}`;
}

describe("what it counts", () => {
  test("first attempts, not retries", () => {
    const made = calls(1_200, (index) => ({ before: [`orders/${index % 4}`], to: "orders/0" }));
    expect(judgeCheck(equal, historyOf(equal, made))).toMatchObject({
      verdict: "pass",
      trials: 1_200,
      observed: "orders/0 25%, orders/1 25%, orders/2 25%, orders/3 25%",
      message: "1200 first attempts spread over 4 instances as expected",
    });
  });

  test("names the cell that is furthest off", () => {
    const made = calls(1_200, (index) => ({
      to: index % 2 === 0 ? "orders/2" : `orders/${[0, 1, 3][((index - 1) / 2) % 3]!}`,
    }));
    expect(judgeCheck(equal, historyOf(equal, made))).toMatchObject({
      verdict: "fail",
      message: "600 of 1200 first attempts went to orders/2, expected 25%",
    });
  });

  test("an instance that gets nothing is found as well as one that gets too much", () => {
    const made = calls(1_200, (index) => ({ to: `orders/${index % 3}` }));
    expect(judgeCheck(equal, historyOf(equal, made))).toMatchObject({
      verdict: "fail",
      message: "0 of 1200 first attempts went to orders/3, expected 25%",
    });
  });

  test("tags, the missing one as a dash", () => {
    const plan = planOf([share("orders").byTag({ "-": 3, v2: 1 }).detects(2)], { tags: [undefined, "v2"] });
    const made = calls(1_000, (index) => ({ to: `orders/${index % 4 === 0 ? 1 : 0}` }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "pass",
      bound: "- 75%, v2 25%",
      observed: "- 75%, v2 25%",
    });
  });

  test("calls that found no instance aren't trials; without any there is nothing to judge", () => {
    const made = calls(1_000).map((call) => ({ ...call, code: "UNAVAILABLE" as const, attempts: [] }));
    expect(judgeCheck(equal, historyOf(equal, made)).verdict).toBe("inconclusive");
  });

  test("one call is too many where nothing is expected", () => {
    const plan = planOf([share("orders").byInstance({ "orders/0": 1, "orders/1": 0 }).detects(2)]);
    const one = calls(960, (index) => ({ to: index === 500 ? "orders/1" : "orders/0" }));
    expect(judgeCheck(plan, historyOf(plan, one)).verdict).toBe("fail");
    const stranger = calls(960, (index) => ({ to: index === 500 ? "orders/7" : "orders/0" }));
    expect(judgeCheck(plan, historyOf(plan, stranger)).verdict).toBe("fail");
    expect(judgeCheck(plan, historyOf(plan, calls(960))).verdict).toBe("pass");
  });

  test("calls of unknown end leave it open where they could decide", () => {
    const made = calls(1_200, (index) => (index % 3 === 0 ? { code: "unknown" } : { to: `orders/${index % 4}` }));
    expect(judgeCheck(equal, historyOf(equal, made)).verdict).toBe("inconclusive");
    const few = calls(1_200, (index) => (index === 0 ? { code: "unknown" } : { to: `orders/${index % 4}` }));
    expect(judgeCheck(equal, historyOf(equal, few)).verdict).toBe("pass");
  });
});

describe("keys as trials", () => {
  const plan = planOf([share("orders").byTag({ v1: 0.8, v2: 0.2 }).ofKeys().detects(2)], {
    rate: "200/s",
    keys: 1_000,
    tags,
  });

  test("count once each, however often they call", () => {
    // Half of all calls come from one key of v2: calls look wrong, users don't.
    const made = calls(1_000, (index) =>
      index % 2 === 0
        ? { key: "u0", to: "orders/2" }
        : { key: `u${index}`, to: index % 10 === 1 ? "orders/3" : "orders/0" },
    );
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "pass", trials: 501 });
  });

  test("a call without a key is no trial", () => {
    expect(judgeCheck(plan, historyOf(plan, calls(900)))).toMatchObject({ verdict: "inconclusive", trials: 0 });
  });

  test("are planned by how many distinct ones the draws give", () => {
    expect(plan.checks[0]!.expectedTrials).toBe(798);
    expect(() =>
      planOf([share("orders").byTag({ v1: 0.8, v2: 0.2 }).ofKeys().detects(2)], { rate: "200/s", keys: 300, tags }),
    ).toThrow(/can count on 29\d trials/);
  });

  test("need callers that send one", () => {
    expect(() => planOf([share("orders").byTag({ v1: 1 }).ofKeys().detects(2)], { tags })).toThrow(/sends a key/);
  });
});

test("shares that are all zero are no expectation", () => {
  expect(() => planOf([share("orders").byInstance({ "orders/0": 0 }).detects(2)])).toThrow(/all 0/);
});

describe("errors of the check itself", () => {
  test("a balancer that draws by weight never fails, in 2000 draws", () => {
    const plan = planOf([share("orders").byInstance({ "orders/0": 3, "orders/1": 1 }).detects(2.5)], { rate: "30/s" });
    for (let seed = 0; seed < 2_000; seed++) {
      const made = drawnCalls(plan, seed, (_due, random) => ({ to: drawn(random, [3, 1]) }));
      expect(judgeCheck(plan, historyOf(plan, made)).verdict, `seed ${seed}`).toBe("pass");
    }
  });

  test("a share of half as much again is found in 99 of 100 draws", () => {
    let found = 0;
    for (let seed = 0; seed < 300; seed++) {
      const made = drawnCalls(equal, seed, (_due, random) => ({
        to: drawn(random, [0.375, 0.625 / 3, 0.625 / 3, 0.625 / 3]),
      }));
      if (judgeCheck(equal, historyOf(equal, made)).verdict === "fail") found++;
    }
    expect(found).toBeGreaterThanOrEqual(297);
  });

  test("a share that can't grow by the factor is found divided by it", () => {
    const plan = planOf([share("orders").byInstance({ "orders/0": 4, "orders/1": 1 }).detects(1.5)], { rate: "250/s" });
    let found = 0;
    for (let seed = 0; seed < 300; seed++) {
      const made = drawnCalls(plan, seed, (_due, random) => ({ to: drawn(random, [0.8 / 1.5, 1 - 0.8 / 1.5]) }));
      if (judgeCheck(plan, historyOf(plan, made)).verdict === "fail") found++;
    }
    expect(found).toBeGreaterThanOrEqual(297);
  });
});

import { describe, expect, test } from "vitest";

import { at, sticky } from "../scenario/builders.ts";
import { call, calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const check = sticky("orders").detects("5%");
const sketch = { keys: 300, tags: ["v1", "v1", "v2", "v2"] };
const plan = planOf([check], sketch);
const changing = planOf([check], { ...sketch, timeline: [at("4s").publish("orders.canary-router", "enabled: true")] });
const keyOf = (index: number) => ({ key: `u${index % 300}` });

describe("what it counts", () => {
  test("keys with at least two calls; instances of one tag are one place", () => {
    const made = calls(450, (index) => ({ ...keyOf(index), to: `orders/${index % 2}` }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "pass",
      observed: "0 of 150",
      trials: 150,
      falseAlarm: 0,
      message: "each of 150 keys with several calls saw one tag",
    });
  });

  test("one key that saw two tags is enough", () => {
    const made = calls(600, (index) => ({ ...keyOf(index), to: index === 342 ? "orders/2" : "orders/0" }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "fail",
      observed: "1 of 300",
      message: "1 of 300 keys saw two tags while the rules stood, the first u42",
      brokenAtMs: 4_560,
    });
  });

  test("where a retry went doesn't matter", () => {
    const made = calls(600, (index) => ({ ...keyOf(index), before: ["orders/0"], to: `orders/${index % 4}` }));
    expect(judgeCheck(plan, historyOf(plan, made)).verdict).toBe("pass");
  });

  test("a new rule may move a key, and takes half a second to spread", () => {
    const moved = (untilUs: number) =>
      calls(1_200, (index) => ({ ...keyOf(index), to: index * 6_667 < untilUs ? "orders/0" : "orders/2" }));
    expect(judgeCheck(changing, historyOf(changing, moved(4_000_000))).verdict).toBe("pass");
    expect(judgeCheck(changing, historyOf(changing, moved(4_490_000))).verdict).toBe("pass");
    expect(judgeCheck(changing, historyOf(changing, moved(7_000_000))).verdict).toBe("fail");
    expect(judgeCheck(plan, historyOf(plan, moved(4_000_000))).verdict).toBe("fail");
  });

  test("a node that heard of it later is given until then", () => {
    const made = calls(1_200, (index) => ({
      ...keyOf(index),
      to: index * 6_667 < 5_000_000 ? "orders/0" : "orders/2",
    }));
    const heard = (atUs: number) => [
      {
        type: "rule",
        atUs,
        key: "orders.canary-router",
        version: 2,
        outcome: "applied",
        node: "storefront/0",
      } as const,
    ];
    expect(judgeCheck(changing, historyOf(changing, made, { rules: heard(5_000_000) })).verdict).toBe("pass");
    expect(judgeCheck(changing, historyOf(changing, made, { rules: heard(4_100_000) })).verdict).toBe("fail");
  });

  test("is inconclusive without keys, or with each drawn once", () => {
    expect(judgeCheck(plan, historyOf(plan, calls(600))).verdict).toBe("inconclusive");
    expect(judgeCheck(plan, historyOf(plan, calls(300, keyOf))).verdict).toBe("inconclusive");
    const unknown = [...calls(300, keyOf), call({ dueUs: 7_999_000, key: "u1", code: "unknown" })];
    expect(judgeCheck(plan, historyOf(plan, unknown)).verdict).toBe("inconclusive");
  });

  test("by instance, two of one tag are two places", () => {
    const byInstance = planOf([sticky("orders").byInstance().detects("5%")], sketch);
    const made = calls(600, (index) => ({ ...keyOf(index), to: index === 342 ? "orders/1" : "orders/0" }));
    expect(judgeCheck(byInstance, historyOf(byInstance, made))).toMatchObject({
      verdict: "fail",
      message: "1 of 300 keys saw two instances while the rules stood, the first u42",
    });
    expect(judgeCheck(plan, historyOf(plan, made)).verdict).toBe("pass");
  });

  test("what an instance that comes and goes has besides doesn't count, and a key that moves between others does", () => {
    const excepting = planOf([sticky("orders").byInstance().except("orders/3").detects("5%")], sketch);
    const homeOf = (index: number) => `orders/${(index % 300) % 4}`;
    const verdictOf = (elsewhere: (index: number) => string) => {
      // In the third turn of four orders/3 is away.
      const made = calls(1_200, (index) => ({
        ...keyOf(index),
        to: Math.floor(index / 300) === 2 ? elsewhere(index) : homeOf(index),
      }));
      return judgeCheck(excepting, historyOf(excepting, made));
    };
    expect(verdictOf((index) => (homeOf(index) === "orders/3" ? "orders/1" : homeOf(index)))).toMatchObject({
      verdict: "pass",
      observed: "0 of 225",
      message: "each of 225 keys with several calls saw one instance besides orders/3",
    });
    expect(verdictOf((index) => `orders/${(index % 300) % 3}`)).toMatchObject({ verdict: "fail" });
  });

  test("the keys of one caller, where another's go elsewhere", () => {
    const from = planOf([sticky("orders").byInstance().from("storefront").detects("5%")], sketch);
    const made = calls(600, (index) => ({
      ...keyOf(index),
      to: index % 2 === 0 ? "orders/0" : `orders/${index % 4}`,
      node: index % 2 === 0 ? "storefront/0" : "kiosk/0",
    }));
    const twice = [...made, ...calls(600, (index) => ({ ...keyOf(index), to: "orders/0" }))];
    expect(judgeCheck(from, historyOf(from, twice)).verdict).toBe("pass");
  });

  test("keys with blanks in them keep their names", () => {
    const made = calls(4, (index) => ({ key: "a b c", to: `orders/${index}` }));
    expect(judgeCheck(plan, historyOf(plan, made)).message).toMatch(/the first a b c$/);
  });
});

describe("the plan", () => {
  test("refuses callers that send no key", () => {
    expect(() => planOf([check], { tags: sketch.tags })).toThrow(/no consumer of orders sends a key/);
  });

  test("refuses to except what isn't there, or where keys stick to tags", () => {
    const excepting = sticky("orders").byInstance().except("orders/7").detects("5%");
    expect(() => planOf([excepting], sketch)).toThrow(/there is no orders\/7/);
    expect(() => planOf([sticky("orders").except("orders/3").detects("5%")], sketch)).toThrow(/a tag has no instance/);
  });

  test("counts keys that are drawn twice between two rule changes", () => {
    expect(plan.checks[0]!.expectedTrials).toBe(248);
    expect(changing.checks[0]!.expectedTrials).toBe(264);
    expect(() => planOf([check], { ...sketch, rate: "15/s" })).toThrow(/more keys|can count on/);
  });
});

test("what it detects it finds in 99 of 100 draws", () => {
  const tight = planOf([check], { ...sketch, rate: "75/s" });
  let found = 0;
  for (let seed = 0; seed < 300; seed++) {
    const seen = new Map<string, number>();
    const flips = new Map<string, boolean>();
    const made = drawnCalls(tight, seed, (_due, random) => {
      const key = `u${random.below(300)}`;
      if (!flips.has(key)) flips.set(key, random.float() < 0.05);
      const turn = seen.get(key) ?? 0;
      seen.set(key, turn + 1);
      return { key, to: flips.get(key) === true && turn % 2 === 1 ? "orders/2" : "orders/0" };
    });
    if (judgeCheck(tight, historyOf(tight, made)).verdict === "fail") found++;
  }
  expect(found).toBeGreaterThanOrEqual(297);
});

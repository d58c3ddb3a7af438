import { describe, expect, test } from "vitest";

import type { History } from "../history/history.ts";
import { at, ruleRejected } from "../scenario/builders.ts";
import { call, calls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const key = "orders.condition-router";
const plan = planOf([ruleRejected("orders", key)], { timeline: [at("2s").publish(key, "conditions: 7")] });

type Rule = History["rules"][number];
const rule = (more: Partial<Rule> = {}): Rule => ({
  type: "rule",
  node: "storefront/0",
  atUs: 2_010_000,
  key,
  version: 2,
  outcome: "rejected",
  reason: `line 1: "conditions" is 7`,
  ...more,
});
const judged = (rules: readonly Rule[], made = calls(960)) => judgeCheck(plan, historyOf(plan, made, { rules }));

describe("a rejected rule", () => {
  test("is one that every caller refused, with its line", () => {
    expect(judged([rule()])).toMatchObject({ verdict: "pass", observed: "1 of 1", falseAlarm: 0 });
  });

  test.each([
    ["nobody said anything", []],
    ["it was applied", [rule({ outcome: "applied" })]],
    ["another document was refused", [rule({ key: "orders.tag-router" })]],
    ["no line is named", [rule({ reason: "it is wrong" })]],
    ["somebody else refused it", [rule({ node: "stranger/0" })]],
  ])("isn't when %s", (_what, rules) => {
    expect(judged(rules)).toMatchObject({ verdict: "fail", observed: "0 of 1" });
  });

  test("one silent caller is enough to fail", () => {
    const made = [...calls(960), call({ dueUs: 5, node: "storefront/1" })];
    expect(judged([rule()], made)).toMatchObject({
      verdict: "fail",
      message: `storefront/1 never said that ${key} can't be read`,
    });
    expect(judged([rule(), rule({ node: "storefront/1" })], made).verdict).toBe("pass");
  });

  test("is inconclusive when nothing was published, or nobody called", () => {
    expect(judgeCheck(plan, historyOf(plan, calls(960), { rules: [rule()], steps: [] })).verdict).toBe("inconclusive");
    expect(judged([rule()], []).verdict).toBe("inconclusive");
  });

  test("is refused by the planner where nothing is published", () => {
    expect(() => planOf([ruleRejected("orders", key)])).toThrow(/nothing publishes orders\.condition-router/);
    expect(() => planOf([ruleRejected("orders", key)], { timeline: [at("2s").remove(key)] })).toThrow(/nothing/);
  });
});

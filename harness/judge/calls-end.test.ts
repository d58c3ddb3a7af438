import { expect, test } from "vitest";

import { callsEnd } from "../scenario/builders.ts";
import { calls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const plan = planOf([callsEnd("orders", "PERMISSION_DENIED").from("storefront").atLeast("99%").detects("93%")]);
const denied = { code: "PERMISSION_DENIED" } as const;

test("calls that all end with the code pass; others, those that are served as well, are counted against it", () => {
  expect(
    judgeCheck(
      plan,
      historyOf(
        plan,
        calls(960, () => denied),
      ),
    ),
  ).toMatchObject({
    name: "orders answers PERMISSION_DENIED from storefront",
    verdict: "pass",
    observed: "100%",
    bound: "≥ 99%",
    trials: 960,
    falseAlarm: 1e-9,
  });
  const leaking = calls(960, (index) => (index % 10 === 5 ? {} : denied));
  expect(judgeCheck(plan, historyOf(plan, leaking))).toMatchObject({
    verdict: "fail",
    observed: "90%",
    message: "96 of 960 calls of orders ended otherwise; the first: OK",
    brokenAtMs: 42,
  });
  const broken = calls(960, (index) => (index % 10 === 5 ? { code: "UNAVAILABLE" } : denied));
  expect(judgeCheck(plan, historyOf(plan, broken)).verdict).toBe("fail");
});

test("calls of others don't count, and calls of unknown end get the benefit of the doubt", () => {
  const others = calls(960, () => ({ node: "warehouse/0" }));
  expect(judgeCheck(plan, historyOf(plan, [...others, ...calls(960, () => denied)])).verdict).toBe("pass");
  expect(judgeCheck(plan, historyOf(plan, others)).verdict).toBe("inconclusive");
  const unsure = calls(960, (index) => (index % 10 === 5 ? { code: "unknown" } : denied));
  expect(judgeCheck(plan, historyOf(plan, unsure)).verdict).toBe("inconclusive");
});

test("the planner refuses a check that could pass by luck, or allows what it detects", () => {
  const few = callsEnd("orders", "UNAUTHENTICATED").atLeast("99%").detects("97%");
  expect(() => planOf([few], { rate: "10/s" })).toThrow(/trials/);
  expect(() => planOf([callsEnd("orders", "UNAUTHENTICATED").atLeast("90%").detects("95%")])).toThrow(/allows what/);
});

import fc from "fast-check";
import { expect, test } from "vitest";

import { constant, poisson, successRate } from "../scenario/builders.ts";
import type { Plan } from "../scenario/plan.ts";
import type { LoadSpec } from "../scenario/schema.ts";
import { planOf } from "./fixtures.ts";
import { meanRate, plannedCalls } from "./planned.ts";

const check = successRate("orders").atLeast("50%").detects("1%");
const contextOf = (plan: Plan) => ({ ...plan, scenario: plan.scenario });
const loadOf = (...builders: readonly { readonly spec: unknown }[]): LoadSpec[] =>
  builders.map(({ spec }) => spec as LoadSpec);

test("a constant load is counted, a Poisson load estimated with a margin", () => {
  const even = planOf([check], { load: loadOf(constant("30/s").on("storefront").for("4s")) });
  expect(plannedCalls(contextOf(even), "orders")).toEqual({ expected: 120, atLeast: 120 });
  const drawn = planOf([check], { rate: "30/s", length: "4s" });
  expect(plannedCalls(contextOf(drawn), "orders")).toEqual({ expected: 120, atLeast: 79 });
  expect(meanRate(contextOf(drawn))).toBeCloseTo(30, 9);
});

test("does not depend on the seed", () => {
  const plans = [1, 2, 3].map((seed) => planOf([check], { seed }));
  expect(new Set(plans.map((plan) => plan.drives[0]!.dueUs.length)).size).toBe(3);
  expect(new Set(plans.map((plan) => plannedCalls(contextOf(plan), "orders").atLeast)).size).toBe(1);
});

test("a thousand seeds hardly ever give less than it counts on", () => {
  let fewer = 0;
  for (let seed = 0; seed < 1_000; seed++) {
    const plan = planOf([check], { rate: "30/s", length: "4s", seed });
    if (plan.drives[0]!.dueUs.length < plannedCalls(contextOf(plan), "orders").atLeast) fewer++;
  }
  expect(fewer).toBeLessThanOrEqual(3);
});

test("of ramps it takes the part that is in the window", () => {
  const ramp = planOf([check], { load: loadOf(constant("0/s").ramp("80/s").on("storefront").for("4s")) });
  const context = contextOf(ramp);
  expect(plannedCalls(context, "orders").expected).toBe(160);
  expect(plannedCalls(context, "orders", { during: "0s..2s" }).expected).toBe(40);
  expect(plannedCalls(context, "orders", { during: "2s..4s" }).expected).toBe(120);
});

test("windows that make up the load make up its calls", () => {
  const plan = planOf([check], {
    load: loadOf(poisson("50/s").on("storefront").for("4s"), constant("20/s").on("storefront").for("8s")),
  });
  const context = contextOf(plan);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7_999 }), (ms) => {
      const parts = [`0s..${ms}ms`, `${ms}ms..8s`].map(
        (during) => plannedCalls(context, "orders", { during }).expected,
      );
      expect(Math.abs(parts[0]! + parts[1]! - plannedCalls(context, "orders").expected)).toBeLessThanOrEqual(2);
    }),
  );
});

test("a service that nobody calls gets nothing", () => {
  const plan = planOf([check]);
  expect(plannedCalls(contextOf(plan), "storefront")).toEqual({ expected: 0, atLeast: 0 });
});

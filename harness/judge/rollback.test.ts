import { describe, expect, test } from "vitest";

import type { History } from "../history/history.ts";
import { at, consumer, poisson, provider, rollback, scenario } from "../scenario/builders.ts";
import { planScenario } from "../scenario/planner.ts";
import { call, calls, historyOf, judgeCheck } from "./fixtures.ts";

const ramp = (more: object = {}) =>
  at("500ms").rollout("orders", {
    tag: "v2",
    key: "orders.canary-router",
    content: "split: [ { tag: v2, percent: ${percent} } ]",
    percents: [20, 60],
    every: "1s",
    acceptable: "1%",
    unacceptable: "10%",
    ...more,
  });

function planned({ timeline = [ramp()], errorRate = 0.4, rate = "300/s", by = "5s" } = {}) {
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders" }),
      orders: provider({
        groups: [
          { instances: 1, tag: "v1" },
          { instances: 1, tag: "v2", errorRate },
        ],
      }),
    },
    load: poisson(rate).on("storefront").for("8s"),
    timeline,
    expect: [rollback("orders", "v2").by(by).detects("2%")],
  });
  return planScenario(value, { world: "sim", seed: 1 });
}

const plan = planned();
type Rollout = History["rollouts"][number];
const back = (atUs: number): Rollout => ({
  type: "rollout",
  atUs,
  index: 0,
  state: "rolled-back",
  percent: 0,
  calls: 30,
  failed: 12,
  score: 17,
});
const judged = (rollouts: readonly Rollout[], made = calls(960)) =>
  judgeCheck(plan, historyOf(plan, made, { rollouts }));

describe("a rollback", () => {
  test("holds when it came in time and nobody called the version afterwards", () => {
    expect(judged([back(2_000_000)])).toMatchObject({ verdict: "pass", observed: "2 s, 0 of 360", falseAlarm: 1e-9 });
    expect(judged([back(2_000_000)], [...calls(960), call({ dueUs: 4_000_000, to: "orders/1" })]).verdict).toBe("pass");
  });

  test("fails when it never came, came late, or a call went there all the same", () => {
    expect(judged([])).toMatchObject({ verdict: "fail", message: "v2 of orders was never rolled back" });
    expect(judged([back(4_600_000)]).verdict).toBe("fail");
    expect(judged([{ ...back(2_000_000), state: "passed" }]).verdict).toBe("fail");
    const astray = [...calls(960), call({ dueUs: 6_000_000, to: "orders/1" })];
    expect(judged([back(2_000_000)], astray)).toMatchObject({ verdict: "fail", observed: "2 s, 1 of 361" });
  });

  test("counts where a call began, not where a retry went", () => {
    const retried = call({ dueUs: 6_000_000, before: ["orders/0"], to: "orders/1" });
    expect(judged([back(2_000_000)], [...calls(960), retried]).verdict).toBe("pass");
  });

  test("is inconclusive without calls afterwards", () => {
    expect(
      judged(
        [back(2_000_000)],
        calls(960).filter(({ dueUs }) => dueUs < 4_000_000),
      ).verdict,
    ).toBe("inconclusive");
  });

  test.each([
    [{ timeline: [] as ReturnType<typeof ramp>[] }, /nothing rolls v2 of orders out/],
    [{ errorRate: 0.1 }, /aren't worse than what is unacceptable/],
    [{ rate: "60/s" }, /too few to find it out for certain/],
    [{ by: "2s" }, /too few to find it out for certain/],
    [{ timeline: [ramp({ tag: "v3" })] }, /"v3" is no tag of orders/],
    [{ timeline: [ramp({ acceptable: "10%" })] }, /there must be a difference/],
    [{ timeline: [ramp({ content: "percent: 5" })] }, /percent/],
  ])("is refused by the planner where it couldn't be told: %#", (sketch, message) => {
    expect(() => planned(sketch)).toThrow(message);
  });
});

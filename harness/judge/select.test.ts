import { describe, expect, test } from "vitest";

import { consumer, poisson, provider, scenario, share, successRate } from "../scenario/builders.ts";
import { planScenario } from "../scenario/planner.ts";
import { call, historyOf, planOf } from "./fixtures.ts";
import { callsOf, whoseName } from "./select.ts";

describe("whose calls a check is about", () => {
  test("by caller and by lane", () => {
    const plan = planOf([successRate("orders").atLeast("99%").detects("93%")]);
    const some = [
      call({ dueUs: 1 }),
      { ...call({ dueUs: 2, node: "vip/0" }), tag: "gray" },
      call({ dueUs: 3, node: "vip-other/0" }),
    ];
    const found = (whose: object) => callsOf(historyOf(plan, some), "orders", whose).map(({ dueUs }) => dueUs);
    expect(found({})).toEqual([1, 2, 3]);
    expect(found({ from: "vip" })).toEqual([2]);
    expect(found({ lane: "gray" })).toEqual([2]);
    expect(found({ lane: "-" })).toEqual([1, 3]);
    expect(found({ lane: "-", from: "vip" })).toEqual([]);
    expect(whoseName({ from: "vip", lane: "gray" })).toBe(" from vip in gray");
  });

  test("only the loads that make such calls count as trials", () => {
    const fleet = {
      storefront: consumer({ instances: 1, calls: "cart" }),
      tester: consumer({ instances: 1, calls: "cart", metadata: { baggage: "dubbo.tag=gray" } }),
      tagged: consumer({ instances: 1, calls: "cart", tag: "blue", metadata: { "dubbo.tag": "gray" } }),
      cart: provider({ calls: "stock" }),
      stock: provider(),
    };
    const trials = (check: object): number =>
      planScenario(
        scenario({
          name: "sketch",
          title: { en: "Sketch", zh: "草图" },
          explanation: { en: "For a test.", zh: "用于测试。" },
          fleet,
          load: [
            poisson("100/s").on("storefront").for("8s"),
            poisson("200/s").on("tester").for("8s"),
            poisson("400/s").on("tagged").for("8s"),
          ],
          expect: [
            { ...share("stock").byInstance("equal").detects(1.9).spec, expected: { "stock/0": 1 }, ...check },
          ] as never,
        }),
        { world: "sim", seed: 1 },
      ).checks[0]!.expectedTrials;
    expect(trials({})).toBe(5600);
    expect(trials({ from: "cart" })).toBe(5600);
    expect(trials({ lane: "gray" })).toBe(1600);
    expect(trials({ lane: "blue" })).toBe(3200);
    expect(trials({ lane: "-", from: "cart" })).toBe(800);
    expect(() => trials({ from: "storefront" })).toThrow(/0 trials/);
  });
});

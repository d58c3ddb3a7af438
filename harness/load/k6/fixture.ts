import { consumer, latency, poisson, provider, scenario, successRate } from "../../scenario/builders.ts";
import type { ScenarioInput } from "../../scenario/builders.ts";
import type { Plan } from "../../scenario/plan.ts";
import { planScenario } from "../../scenario/planner.ts";

/** For tests: a small plan whose calls k6 makes. */
export function k6Plan(more: Partial<ScenarioInput> = {}, seed = 1): Plan {
  const base: ScenarioInput = {
    name: "shop",
    title: { en: "Shop", zh: "商店" },
    explanation: { en: "A shop.", zh: "一家商店。" },
    fleet: {
      storefront: consumer({ instances: 2, calls: "orders", timeout: "400ms", key: { name: "user", count: 10 } }),
      orders: provider({ instances: 2, calls: "payments" }),
      payments: provider(),
    },
    load: poisson("100/s").on("storefront").for("3s"),
    expect: [
      successRate("orders").atLeast("99%").detects("85%"),
      successRate("orders").atLeast("90%").detects("30%").during("1s..2s"),
      latency("orders").p90("300ms").detects("40%"),
      successRate("payments").atLeast("99%").detects("85%"),
    ],
  };
  return planScenario(scenario({ ...base, ...more }), { world: "local", seed, load: "k6" });
}

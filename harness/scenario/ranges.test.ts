import { expect, test } from "vitest";

import { programs } from "../../services/programs.ts";
import { bank, constant, consumer, provider, scenario, successRate } from "./builders.ts";
import { ScenarioError } from "./error.ts";
import { planNodes } from "./nodes.ts";
import type { NodePlan } from "./plan.ts";
import { scenarioSchema } from "./schema.ts";
import { applySets } from "./set.ts";
import { placeAt, valueAt, type Key, type Place } from "./shape.ts";

/** Every program once, with what its settings need beside them. */
const shop = scenario({
  name: "shop",
  title: { en: "Shop", zh: "商店" },
  explanation: { en: "A shop.", zh: "一家商店。" },
  fleet: {
    shop: consumer({
      ...{ instances: 1, calls: "orders", rateLimit: { perSecond: 100 }, retryBudget: { policy: "envoy" } },
      key: { name: "user", count: 10 },
    }),
    orders: provider({ instances: 1, calls: "stores", admission: { rateLimit: { perSecond: 100 } } }),
    stores: provider({ instances: 1 }),
    buyer: consumer({ instances: 1, calls: "order" }),
    ...bank({ mode: "at", account: { clerk: { every: "1s" } } }),
  },
  load: ["shop", "buyer"].map((name) => constant("10/s").on(name).for("1s")),
  expect: [successRate("orders").atLeast("50%").detects("1%")],
});

/** Where a number, a text or a duration is said; of one's own names there is one, "Do". */
function leaves(place: Place, path: readonly Key[]): readonly (readonly Key[])[] {
  const keys = place.isRecord ? ["Do"] : (place.keys ?? []);
  if (place.isArray) return [];
  const inner = keys.flatMap((key) => {
    const here = [...path, key];
    const child = place.child(key, valueAt(shop, here));
    return child === undefined ? [] : leaves(child, here);
  });
  // A distribution is a duration, or has keys.
  return place.accepts("1s") || !place.hasKeys ? [path, ...inner] : inner;
}

const roots: readonly (readonly Key[])[] = [
  ...Object.keys(shop.fleet).map((name) => ["fleet", name]),
  ["registry"],
  ["coordinator"],
];
const settings = roots
  .flatMap((path) => leaves(placeAt(scenarioSchema, shop, path)!, path))
  .filter((path) => path.at(-1) !== "instances");
const values = [
  ...["0s", "0.4us", "1us", "1.5ms", "50ms", "100ms", "1s", "1m", "11m", "61m", "10000m", "99999999999m", ""],
  ...[-1, 0, 0.0001, 0.005, 0.5, 0.999, 1, 1.5, 2, 99, 1001, 1e7, 1e13],
];

function nodesWith(set: string): readonly NodePlan[] {
  try {
    return planNodes(applySets(shop, [set]), { registry: "embedded" });
  } catch (error) {
    expect(error).toBeInstanceOf(ScenarioError);
    return [];
  }
}

test("what a scenario may say of a program, the program takes: nothing comes out only in the run", () => {
  expect(settings.length).toBeGreaterThan(300);
  const surprises: string[] = [];
  const seen = new Set<string>();
  for (const path of settings) {
    const place = placeAt(scenarioSchema, shop, path);
    for (const value of values) {
      if (place !== undefined && !place.accepts(value)) continue;
      const set = `${path.join(".")}=${JSON.stringify(value)}`;
      for (const { program, config } of nodesWith(set)) {
        const known = ["order", "account", "stock"].includes(program) ? { coordinator: "a:1" } : {};
        const isInfrastructure = program === "registry" || program === "coordinator";
        const whole = isInfrastructure ? config : { ...config, ...known, registry: "a:1" };
        const text = JSON.stringify([program, whole]);
        if (seen.has(text)) continue;
        seen.add(text);
        try {
          programs.get(program)!.parse(whole);
        } catch (error) {
          surprises.push(`${set}: ${(error as Error).message}`);
        }
      }
    }
  }
  expect(seen.size).toBeGreaterThan(1000);
  expect(surprises).toEqual([]);
});

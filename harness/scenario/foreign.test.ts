import { describe, expect, test } from "vitest";

import { at, constant, consumer, foreign, provider, scenario, successRate, type ScenarioInput } from "./builders.ts";
import { filledIn, placeholders, type Placeholder } from "./foreign.ts";
import type { Plan } from "./plan.ts";
import { planScenario, type PlanOptions } from "./planner.ts";

const shop = { image: "registry.example/shop:1", environment: { LISTEN: "${ip}:${port}", REGISTRY: "${registry}" } };

const base: ScenarioInput = {
  name: "shop",
  title: { en: "Shop", zh: "商店" },
  explanation: { en: "A shop.", zh: "一家商店。" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders" }),
    "storefront-go": foreign({ role: "consumer", command: ["bin/shop"], calls: "orders" }),
    orders: provider({
      groups: [{ instances: 1 }, { instances: 2, tag: "gray", weight: 50, foreign: shop }],
    }),
  },
  load: [constant("200/s").on("storefront").for("8s"), constant("20/s").on("storefront-go").for("8s")],
  expect: [successRate("orders").atLeast("99%").detects("90%")],
};

const plan = (more: Partial<ScenarioInput> = {}, options: Partial<PlanOptions> = {}): Plan =>
  planScenario(scenario({ ...base, ...more }), { world: "docker", seed: 1, ...options });

const nodeOf = ({ nodes }: Plan, id: string) => nodes.find((node) => node.id === id)!;

describe("foreign nodes", () => {
  test("are instances of the service among others, known by tag and weight, and of a role", () => {
    const planned = plan();
    expect(planned.nodes.map(({ id }) => id)).toEqual([
      ...["registry/0", "storefront/0", "storefront-go/0", "orders/0", "orders/1", "orders/2"],
    ]);
    expect(nodeOf(planned, "orders/0").foreign).toBeUndefined();
    expect(nodeOf(planned, "orders/2")).toMatchObject({
      service: "orders",
      program: "provider",
      tag: "gray",
      weight: 50,
      foreign: { image: "registry.example/shop:1", readyLine: undefined },
    });
    expect(nodeOf(planned, "storefront-go/0")).toMatchObject({
      program: "consumer",
      foreign: { command: ["bin/shop"], readyLine: "ready" },
    });
    expect(planned.drives.map(({ node, dueUs }) => [node, dueUs.length])).toEqual([
      ["storefront/0", 1600],
      ["storefront-go/0", 160],
    ]);
  });

  test("join ZooKeeper when nobody says otherwise, and only in docker", () => {
    expect(plan().registry).toBe("zookeeper");
    expect(plan({}, { registry: "nacos" }).registry).toBe("nacos");
    expect(plan({ registry: { like: "nacos" } }).registry).toBe("nacos");
    expect(() => plan({}, { registry: "embedded" })).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED", hint: "--registry zookeeper or --registry nacos" }),
    );
    for (const world of ["sim", "local"] as const) {
      expect(() => plan({}, { world })).toThrow(
        expect.objectContaining({
          code: "UNSUPPORTED",
          message: expect.stringContaining(`world ${world} can't run`) as string,
        }),
      );
    }
  });

  test("can't be told to be slow, nor whom to dial; what others do to their links is no matter", () => {
    const unsupported = expect.objectContaining({ code: "UNSUPPORTED" }) as Error;
    expect(() => plan({ timeline: [at("1s").slow("orders", { factor: 2 })] })).toThrow(unsupported);
    expect(() => plan({ timeline: [at("1s").slow("orders/0", { factor: 2 })] })).not.toThrow();
    expect(() => plan({ timeline: [at("1s").partition({ from: "storefront-go", to: "orders" })] })).toThrow(
      unsupported,
    );
    expect(() => plan({ timeline: [at("1s").partition({ from: "storefront", to: "orders/2" })] })).not.toThrow();
    const cutOff = { timeline: [at("1s").partition({ from: "storefront-go", to: "registry" }, { for: "2s" })] };
    expect(() => plan(cutOff)).not.toThrow();
    // Its client takes the port of gRPC to be 1000 higher than the other.
    expect(() => plan(cutOff, { registry: "nacos" })).toThrow(unsupported);
    expect(() => plan({}, { load: "k6" })).toThrow(unsupported);
    for (const kind of ["kill", "pause", "disconnect"] as const) {
      expect(() => plan({ timeline: [at("1s")[kind]("orders/1", { for: "1s" })] })).not.toThrow();
    }
  });

  test("say what to run, and with placeholders that there are", () => {
    const fleetOf = (spec: Partial<Parameters<typeof foreign>[0]>): Partial<ScenarioInput> => ({
      fleet: { ...base.fleet, orders: foreign({ role: "provider", ...spec }) },
    });
    expect(() => plan(fleetOf({}))).toThrow("neither an image nor a command says what to run");
    expect(() => plan(fleetOf({ image: "shop", environment: { WHERE: "${registy}" } }))).toThrow(
      expect.objectContaining({
        code: "UNKNOWN_NAME",
        message: expect.stringContaining(
          "fleet.orders.environment.WHERE: there is no placeholder ${registy}",
        ) as string,
        hint: 'did you mean "registry"?',
      }),
    );
    expect(() => plan(fleetOf({ image: "shop", environment: { "NO-NAME": "" } }))).toThrow(
      '"NO-NAME" is no variable\'s name',
    );
    expect(() =>
      plan({ fleet: { ...base.fleet, "storefront-go": foreign({ role: "consumer", image: "x" }) } }),
    ).toThrow("a consumer calls a service");
  });
});

test("placeholders are filled in wherever they are, and nothing else is touched", () => {
  const values = Object.fromEntries(Object.keys(placeholders).map((name) => [name, `<${name}>`]));
  expect(filledIn("$ip ${ip}:${port} ${node}${node} {tag} $", values as Record<Placeholder, string>)).toBe(
    "$ip <ip>:<port> <node><node> {tag} $",
  );
});

import { expect, test } from "vitest";

import {
  at,
  attemptsPerCall,
  constant,
  consumer,
  gracefulStop,
  latency,
  noDeadCalls,
  poisson,
  provider,
  recovery,
  scenario,
  share,
  sticky,
  successRate,
  type ScenarioInput,
} from "./builders.ts";
import { scenarioSchema } from "./schema.ts";

const input: ScenarioInput = {
  name: "everything",
  title: { en: "Everything", zh: "全部" },
  explanation: { en: "Every builder once.", zh: "每个构造器各用一次。" },
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", key: { name: "user", count: 100 }, tag: "gray" }),
    orders: provider({ instances: 3, calls: "payments", timeout: "250ms", retries: 2, serviceTime: "5ms" }),
    payments: provider({ groups: [{ instances: 1 }, { instances: 1, tag: "v2", weight: 50 }] }),
  },
  rules: { "orders.tag-router": "enabled: true" },
  load: [
    poisson("80/s").for("4s").ramp("120/s").for("2s").then("20/s").for("2s").on("storefront"),
    constant("0/s").ramp("10/s").for("8s").on("storefront"),
  ],
  timeline: [
    at("1s").kill("orders/1", { for: "2s" }),
    at("1s").pause("orders/2", { for: "1s" }),
    at("1s").slow("payments/0", { factor: 3 }),
    at("1s").latency("payments", { add: "400ms", jitter: "50ms", for: "1s" }),
    at("1s").bandwidth({ from: "orders/0", to: "payments/0" }, { bytesPerSecond: 1000 }),
    at("1s").loss("orders", { probability: "5%" }),
    at("1s").partition("registry", { direction: "forward" }),
    at("1s").blackhole("orders/0", { for: "1s" }),
    at("1s").reset("orders/0"),
    at("1s").slowClose("orders/0", { delay: "100ms" }),
    at("1s").refuse("orders/0"),
    at("4s").stop("orders/0"),
    at("5s").restart("orders/0"),
    at("6s").publish("orders.tag-router", "enabled: false"),
    at("7s").remove("orders.tag-router"),
  ],
  expect: [
    successRate("orders").atLeast("99%").detects("95%").outside("3s..5s"),
    share("orders").byInstance("equal").detects(1.5),
    share("payments").byTag({ "-": 2, v2: 1 }).ofKeys().detects(1.5).during("0s..1s"),
    latency("orders").p99("300ms").detects("5%").inRecovery(),
    attemptsPerCall("payments").atMost(1.2).detects(1.5),
    noDeadCalls("orders").within("3s").detects("1s"),
    recovery("orders").after("4s").within("1s").p99Below("300ms").atLeast("99%").detects("1s"),
    sticky("payments").detects("1%"),
    gracefulStop("orders", "orders/0").detects("2%"),
  ],
  agreement: { share: "2%", p99: 0.2 },
};

test("a scenario is plain data that survives JSON and the schema unchanged", () => {
  const built = scenario(input);
  const copy = JSON.parse(JSON.stringify(built)) as unknown;
  expect(copy).toStrictEqual(built);
  expect(scenarioSchema.parse(copy)).toStrictEqual(built);
});

test("what is said in short is spelled out", () => {
  const { fleet, load, expect: checks, agreement, timeline } = scenario(input);
  expect(fleet["orders"]).toMatchObject({ calls: { service: "payments", timeout: "250ms", retries: 2 } });
  expect(load[0]!.legs).toEqual([
    { rate: "80/s", for: "4s" },
    { rate: "80/s", to: "120/s", for: "2s" },
    { rate: "20/s", for: "2s" },
  ]);
  expect(load[1]!.legs).toEqual([{ rate: "0/s", to: "10/s", for: "8s" }]);
  expect(checks[1]).toMatchObject({ expected: { "orders/0": 1, "orders/1": 1, "orders/2": 1 } });
  expect(agreement).toEqual({ share: 0.02, p99: 0.2 });
  expect(timeline[3]).toEqual({
    at: "1s",
    fault: { kind: "latency", link: { to: "payments" }, add: "400ms", jitter: "50ms", for: "1s" },
  });
});

test("a ramp after a leg goes on from where that one ended", () => {
  const { legs } = constant("10/s").ramp("50/s").for("1s").ramp("20/s").for("1s").on("x").spec;
  expect(legs[1]).toEqual({ rate: "50/s", to: "20/s", for: "1s" });
});

test("a check may be described in any order, and a step answers a new one", () => {
  const rate = successRate("orders").atLeast("99%");
  expect(rate.detects("95%").spec).toEqual(successRate("orders").detects("95%").atLeast("99%").spec);
  expect(rate.spec).not.toHaveProperty("detects");
});

test("every mistake is named by its path, with what is allowed and the nearest name", () => {
  const wrong = {
    ...input,
    fleet: { ...input.fleet, orders: { ...provider({}), wieght: 3 } },
    timeline: [at("soon").kill("orders/1")],
    expect: [successRate("orders").atLeast("199%")],
  } as unknown as ScenarioInput;
  expect(() => scenario(wrong)).toThrowErrorMatchingInlineSnapshot(`
    [ScenarioError: scenario everything is invalid
      fleet.orders.wieght: there is no such key; allowed: program, instances, groups, tag, labels, own, protocol, serviceTime, contention, errorRate, capacity, queueMax, admission, queue, guard, pushback, servesAbandoned, reportsLoad, weight, warmup, calls, alsoCalls
      timeline.0.at: expected a duration such as "250ms", "3s" or "2m"
      expect.0.atLeast: expected a share such as "99%" or 0.99, at most 100%
      expect.0.detects: is missing]
  `);
  expect(() => scenario(wrong)).toThrow(expect.objectContaining({ hint: 'did you mean "weight"?' }));
});

import { describe, expect, test } from "vitest";

import { at, consumer, poisson, provider, scenario, successRate } from "./builders.ts";
import { applySets } from "./set.ts";
import { valueAt } from "./shape.ts";

const shop = scenario({
  name: "shop",
  title: { en: "Shop", zh: "商店" },
  explanation: { en: "A shop.", zh: "一家商店。" },
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders" }),
    orders: provider({ instances: 3, calls: "payments", retries: 2, serviceTime: "5ms" }),
    payments: provider({ instances: 2 }),
  },
  rules: { "orders.tag-router": "enabled: true" },
  load: poisson("80/s").on("storefront").for("8s"),
  timeline: [at("3s").latency("payments", { add: "400ms", for: "1s" })],
  expect: [successRate("orders").atLeast("99%").detects("95%")],
  agreement: {},
});

const after = (set: string, path: string): unknown => valueAt(applySets(shop, [set]), path.split(" "));

describe("sets", () => {
  test.each([
    ["load.0.legs.0.rate=40/s", "load 0 legs 0 rate", "40/s"],
    ["fleet.orders.instances=5", "fleet orders instances", 5],
    ["fleet.orders.calls.retries=0", "fleet orders calls retries", 0],
    ["expect.0.atLeast=0.9", "expect 0 atLeast", 0.9],
    ["expect.0.atLeast=90%", "expect 0 atLeast", "90%"],
    ["expect.0.during=1s..2s", "expect 0 during", "1s..2s"],
    ["title.en=2024", "title en", "2024"],
    ["title.en=a=b", "title en", "a=b"],
    ['fleet.orders.calls.retryOn=["INTERNAL"]', "fleet orders calls retryOn", ["INTERNAL"]],
    ["rules.orders.tag-router=enabled: false", "rules orders.tag-router", "enabled: false"],
    ["rules.payments.tag-router=enabled: false", "rules payments.tag-router", "enabled: false"],
  ])("%s", (set, path, value) => {
    expect(after(set, path)).toEqual(value);
  });

  test("find a setting of calls without its name, as the builders do", () => {
    expect(after("fleet.orders.retries=0", "fleet orders calls retries")).toBe(0);
  });

  test("reach all that have such a place through a *", () => {
    const changed = applySets(shop, ["fleet.*.calls.retries=7"]);
    expect(changed.fleet).toMatchObject({ storefront: { calls: { retries: 7 } }, orders: { calls: { retries: 7 } } });
    expect(changed.fleet["payments"]).not.toHaveProperty("calls");
  });

  test("make what may be there but isn't, and remove what may be absent", () => {
    expect(after("registry.sessionTimeout=1s", "registry")).toEqual({ sessionTimeout: "1s" });
    expect(after("fleet.orders.serviceTime.exponential.mean=9ms", "fleet orders serviceTime")).toEqual({
      exponential: { mean: "9ms" },
    });
    expect(after("fleet.orders.serviceTime=null", "fleet orders serviceTime")).toBeUndefined();
    expect(after("agreement=null", "agreement")).toBeUndefined();
  });

  test("apply one after the other and leave the scenario itself alone", () => {
    const before = JSON.stringify(shop);
    const changed = applySets(shop, ["fleet.orders.instances=5", "fleet.orders.instances=6"]);
    expect(changed.fleet["orders"]).toMatchObject({ instances: 6 });
    expect(JSON.stringify(shop)).toBe(before);
  });
});

describe("a set that can't be", () => {
  test.each([
    ["fleet.ordrs.retries=0", 'fleet has no "ordrs"; it has storefront, orders, payments', 'did you mean "orders"?'],
    ["fleet.orders.retires=0", 'fleet.orders has no "retires"', 'did you mean "retries"?'],
    ["lod.0.on=x", 'the scenario has no "lod"', 'did you mean "load"?'],
    ["timeline.0.fault.ad=1s", 'timeline.0.fault has no "ad"; it has kind, link, add', 'did you mean "add"?'],
    ["timeline.4.at=1s", 'timeline has no "4"; it has 0', undefined],
    ["fleet.payments.retries=1", 'fleet.payments has no "retries"', undefined],
    ["title.en.x=1", 'title.en is a single value, it has no "x"', undefined],
    ["load.0.legs.0.rate=40", 'load.0.legs.0.rate: expected a rate such as "80/s"', undefined],
    ["load.0.arrivals=poison", '"poison" is not one of "constant", "poisson"', 'did you mean "poisson"?'],
    ["fleet.orders.retries=many", "fleet.orders.calls.retries: expected a number", undefined],
    ["agreement.p99=0.9", "agreement.p99: expected at most 0.25", undefined],
    ["timeline.0.fault.kind=slow", "", undefined],
    ["retries", "not PATH=VALUE", "for example --set load.0.legs.0.rate=40/s"],
  ])("%s", (set, message, hint) => {
    const error = errorOf(() => applySets(shop, [set]));
    expect(error.message).toContain(`--set ${set}: `);
    expect(error.message).toContain(message);
    if (hint !== undefined) expect(error.hint).toBe(hint);
  });
});

function errorOf(act: () => unknown): Error & { readonly hint?: string } {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

import { describe, expect, test } from "vitest";

import { programs } from "./programs.ts";
import { ConfigError } from "./service.ts";

const parse = (program: string, config: unknown): unknown => programs.get(program)!.parse(config);

function failureOf(program: string, config: unknown): ConfigError {
  try {
    parse(program, config);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error as ConfigError;
  }
  throw new Error("it was accepted");
}

const provider = { service: "orders", registry: "127.0.0.1:1" };
const consumer = { application: "web", calls: { service: "orders" }, registry: "127.0.0.1:1" };

test("there is a program for each kind of node", () => {
  expect([...programs.keys()]).toEqual([
    "registry",
    "config-center",
    "coordinator",
    "provider",
    "consumer",
    "gateway",
    "rules",
    "order",
    "account",
    "stock",
  ]);
});

test("a minimal configuration gets its defaults", () => {
  expect(parse("provider", provider)).toMatchObject({
    weight: 100,
    metadata: {},
    serviceTime: { kind: "constant", us: 0 },
    errorRate: 0,
    propagationMs: 500,
    graceMs: 2000,
    application: "orders",
  });
  expect(parse("consumer", consumer)).toMatchObject({ calls: { service: "orders" }, application: "web" });
  expect(parse("gateway", consumer)).toMatchObject({ graceMs: 2000, calls: { service: "orders" } });
  expect(parse("registry", {})).toEqual({ tickMs: 500, mergeMs: 50 });
  expect(parse("config-center", undefined)).toEqual({});
});

describe("a wrong configuration is refused by the name of its key:", () => {
  test.each<[string, string, unknown, string]>([
    ["no object", "provider", 3, "the configuration is not an object"],
    ["a missing service", "provider", { registry: "a:1" }, "service is missing"],
    ["a missing registry", "provider", { service: "orders" }, "registry is missing"],
    ["an address without a port", "provider", { ...provider, registry: "here" }, "registry must be an address"],
    ["a negative weight", "provider", { ...provider, weight: -1 }, "weight must be an integer from 0"],
    ["half a weight", "provider", { ...provider, weight: 0.5 }, "weight must be an integer"],
    ["an error rate over 1", "provider", { ...provider, errorRate: 2 }, "errorRate must be a number from 0 to 1"],
    ["no capacity", "provider", { ...provider, capacity: 0 }, "capacity must be an integer ≥ 1"],
    [
      "labels that are no texts",
      "provider",
      { ...provider, metadata: { a: 1 } },
      "metadata must be an object of texts",
    ],
    ["a distribution without a kind", "provider", { ...provider, serviceTime: {} }, "serviceTime.kind is missing"],
    [
      "a distribution of no kind",
      "provider",
      { ...provider, serviceTime: { kind: "gaussian" } },
      'serviceTime.kind must be constant, uniform, normal, exponential or pareto and not "gaussian"',
    ],
    [
      "a distribution's parameter too many",
      "provider",
      { ...provider, serviceTime: { kind: "constant", us: 1, meanUs: 1 } },
      "there is no key serviceTime.meanUs",
    ],
    ["a consumer that calls nobody", "consumer", { application: "web", registry: "a:1" }, "calls is missing"],
    [
      "a code that is none",
      "consumer",
      { ...consumer, calls: { service: "x", retryOn: ["OH"] } },
      "calls.retryOn must be",
    ],
    ["a gateway that calls nobody", "gateway", { application: "web", registry: "a:1" }, "calls is missing"],
    ["a gateway's negative grace", "gateway", { ...consumer, graceMs: -1 }, "graceMs must be a number from 0"],
    ["no rules", "rules", { configCenter: "a:1", documents: [] }, "documents must be a list of documents"],
    [
      "a rule without a key",
      "rules",
      { configCenter: "a:1", documents: [{ content: "x" }] },
      "documents.0.key is missing",
    ],
    ["rules for nobody", "rules", { documents: [{ key: "a", content: "b" }] }, "configCenter is missing"],
    ["a key without a name", "consumer", { ...consumer, key: { count: 3 } }, "key.name is missing"],
    ["no keys", "consumer", { ...consumer, key: { name: "user", count: 0 } }, "key.count must be"],
    ["a bank's mode", "order", { registry: "a:1", coordinator: "a:1", mode: "tc" }, "mode must be one of"],
    ["a bank without a coordinator", "account", { registry: "a:1" }, "coordinator is missing"],
    [
      "a clerk without global locks",
      "account",
      { registry: "a:1", coordinator: "a:1", clerk: {} },
      'no clerk in mode "tcc"',
    ],
    [
      "a clerk with half a share",
      "stock",
      { registry: "a:1", coordinator: "a:1", mode: "at", clerk: { lockingRate: 50 } },
      "clerk.lockingRate must be",
    ],
    [
      "looks without global locks",
      "order",
      { registry: "a:1", coordinator: "a:1", account: { service: "a" }, stock: { service: "b" }, looks: {} },
      'no order looks in mode "tcc"',
    ],
    ["no items", "stock", { registry: "a:1", coordinator: "a:1", items: 0 }, "items must be an integer from 1"],
  ])("%s", (_, program, config, message) => {
    expect(failureOf(program, config).message).toContain(message);
  });

  test("a typo gets the key that was meant", () => {
    const failure = failureOf("provider", { ...provider, serviseTime: { kind: "constant", us: 1 } });
    expect(failure).toMatchObject({ message: "there is no key serviseTime", hint: 'did you mean "serviceTime"?' });
  });
});

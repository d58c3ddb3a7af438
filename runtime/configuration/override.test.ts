import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { client, endpoint, pool } from "../fixtures.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { RouteTarget } from "../routing/router.ts";
import { applyOverrides, isAccessLogged, overrideRules, type OverrideRule } from "./override.ts";

const parse = (content: string) => overrideRules.parse(content);
const applied = (content: string, target: Partial<RouteTarget> = {}, endpoints: readonly Endpoint[] = pool(100, 100)) =>
  applyOverrides(endpoints, [parse(content)], client(1, target).target);
const withOverrides = (endpoints: readonly Endpoint[], ...rules: readonly OverrideRule[]) =>
  applyOverrides(endpoints, rules, client().target).endpoints;

describe("overrides", () => {
  test("live under the caller's and the provider's application and the interface's key, the narrowest last", () => {
    expect(overrideRules.keys(client().target)).toEqual([
      "storefront.configurators",
      "orders.configurators",
      "flyball.worker.v1.Worker::orders.configurators",
    ]);
  });

  test("change the weight of the instances that match, and keep identity and statistics", () => {
    const endpoints = pool(100, 100);
    const rule = parse(`
configVersion: v3.0
scope: service
key: orders
enabled: true
runtime: true
configs:
  - side: provider
    match: { param: [ { key: instance, value: { exact: orders/1 } } ] }
    parameters: { weight: 50 }
`);
    const changed = withOverrides(endpoints, rule);
    expect(changed.map(({ weight }) => weight)).toEqual([100, 50]);
    expect(changed[0]).toBe(endpoints[0]);
    expect(changed[1]).toMatchObject({ id: "orders/1", key: endpoints[1]!.key });
    expect(changed[1]!.stats).toBe(endpoints[1]!.stats);
  });

  test("match by address and by label; a later one wins; disabled takes out, and can bring back", () => {
    const endpoints = [
      endpoint({ id: "orders/0", address: "10.0.0.1:1", metadata: { zone: "eu" } }),
      endpoint({ id: "orders/1", address: "10.0.1.1:1" }),
      endpoint({ id: "orders/2", address: "10.0.1.2:1" }),
    ];
    const weights = (configs: string) =>
      withOverrides(endpoints, parse(`configs: [${configs}]`)).map(({ id, weight }) => `${id.slice(-1)}:${weight}`);
    expect(weights("{ match: { address: { wildcard: '10.0.1.*' } }, parameters: { weight: 7 } }")).toEqual([
      "0:100",
      "1:7",
      "2:7",
    ]);
    expect(weights("{ match: { providerAddress: { exact: '10.0.1.2:1' } }, parameters: { disabled: true } }")).toEqual([
      "0:100",
      "1:100",
    ]);
    const eu = "match: { param: [{ key: zone, value: { exact: eu } }] }";
    expect(
      weights(`{ parameters: { weight: 1, disabled: true } }, { ${eu}, parameters: { disabled: false } }`),
    ).toEqual(["0:1"]);
    expect(weights(`{ enabled: false, parameters: { weight: 1 } }`)).toEqual(["0:100", "1:100", "2:100"]);
  });

  test("match by a parameter with a tilde, as Dubbo 2 writes it, and as match.param does", () => {
    const endpoints = ["r1", "r2"].map((region, index) =>
      endpoint({ id: `orders/${index}`, address: `10.0.0.${index}:20880`, metadata: { region } }),
    );
    const weights = (config: string, labels: Readonly<Record<string, string>> = {}) =>
      applyOverrides(endpoints, [parse(`configs: [${config}]`)], client(1, { labels }).target).endpoints.map(
        ({ weight }) => weight,
      );
    const everywhere = 'addresses: ["0.0.0.0:20880"]';
    expect(weights(`{ ${everywhere}, parameters: { "~region": r2, weight: "300" } }`)).toEqual([100, 300]);
    expect(weights(`{ ${everywhere}, parameters: { "~region": "*", weight: 300 } }`)).toEqual([300, 300]);
    expect(weights(`{ addresses: ["10.0.0.0:1"], parameters: { "~region": r1, weight: 300 } }`)).toEqual([100, 100]);
    // A caller that has the label is asked for its own.
    const callers = '{ side: consumer, parameters: { "~region": r2, weight: 300 } }';
    expect(weights(callers)).toEqual([100, 300]);
    expect(weights(callers, { region: "r2" })).toEqual([300, 300]);
    expect(weights(callers, { region: "r1" })).toEqual([100, 100]);
    expect(() => parse('configs: [{ parameters: { "~": r2, weight: 1 } }]')).toThrow("a tilde without a name");
    expect(() => parse('configs: [{ parameters: { "~region": r2, retries: 1 } }]')).toThrow("is the caller's");
  });

  test("that change nothing answer the same array", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 200 })), (weights) => {
        const endpoints = pool(...weights);
        expect(withOverrides(endpoints)).toBe(endpoints);
        const nobody = "match: { address: { exact: '1.1.1.1:1' } }";
        expect(withOverrides(endpoints, parse(`configs: [{ ${nobody}, parameters: { disabled: true } }]`))).toBe(
          endpoints,
        );
        expect(withOverrides(endpoints, parse("enabled: false\nconfigs: [{ parameters: { weight: 3 } }]"))).toBe(
          endpoints,
        );
      }),
    );
    const same = pool(3, 3);
    expect(withOverrides(same, parse("configs: [{ parameters: { weight: 3 } }]"))).toBe(same);
  });

  test("change how a caller calls, all at once and by method; the narrower document wins, then the later entry", () => {
    const target = client().target;
    const application = parse(
      `configs: [{ side: consumer, parameters: { timeout: 900, retries: "5", cluster: failfast } }]`,
    );
    const service = parse(`
configs:
  - parameters: { timeout: 500, loadbalance: roundrobin, Do.timeout: 200 }
  - parameters: { timeout: "400", Do.retries: 0, Stream.timeout: 50 }
`);
    expect(applyOverrides(pool(100), [application, service], target).caller).toEqual({
      timeoutMs: 400,
      retries: 5,
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
      methods: new Map([
        ["Do", { timeoutMs: 200, retries: 0 }],
        ["Stream", { timeoutMs: 50 }],
      ]),
    });
  });

  test.each<readonly [what: string, target: Partial<RouteTarget>, isMeant: boolean]>([
    ["side: consumer, match: { app: { oneof: [ { exact: storefront } ] } }", {}, true],
    ["side: consumer, match: { app: { oneof: [ { prefix: x }, { prefix: other } ] } }", {}, false],
    ["side: provider, match: { app: { oneof: [ { exact: orders } ] } }", {}, true],
    ["side: consumer, applications: [storefront]", {}, true],
    ["side: consumer, applications: ['*']", {}, true],
    ["side: consumer, applications: [crawler]", {}, false],
    ["services: [flyball.worker.v1.Worker]", {}, true],
    ["services: [orders/flyball.worker.v1.Worker]", {}, true],
    ["services: [payments]", {}, false],
    ["match: { service: { oneof: [ { prefix: flyball. } ] } }", {}, true],
    ["side: consumer, addresses: [10.9.0.1]", { host: "10.9.0.1" }, true],
    ["side: consumer, addresses: [10.9.0.1]", { host: "10.9.0.2" }, false],
    ["side: consumer, addresses: [10.9.0.1]", {}, false],
    ["side: consumer, addresses: [0.0.0.0]", {}, true],
    ["addresses: ['0.0.0.0:0']", {}, true],
    ["side: consumer, match: { address: { wildcard: 10.9.* } }", { host: "10.9.0.1" }, true],
    ["side: consumer, match: { address: { cird: 10.9.0.0/16 } }", { host: "10.9.0.1" }, true],
    ["side: consumer, match: { address: { cird: 10.9.0.0/16 } }", { host: "10.8.0.1" }, false],
    ["side: consumer, match: { application: { oneof: [ { exact: storefront } ] } }", {}, true],
    ["side: consumer, match: { application: { oneof: [ { exact: other } ] } }", {}, false],
    ["side: consumer, match: { param: [ { key: zone, value: { exact: eu } } ] }", { labels: { zone: "eu" } }, true],
    ["side: consumer, match: { param: [ { key: zone, value: { exact: eu } } ] }", { labels: { zone: "us" } }, false],
    // Whoever has no such label is asked for the instances': nothing of the caller's changes.
    ["side: consumer, match: { param: [ { key: zone, value: { exact: eu } } ] }", {}, false],
  ])("%s for %j: %j", (what, target, isMeant) => {
    expect(applied(`configs: [{ ${what}, parameters: { retries: 7 } }]`, target).caller).toEqual(
      isMeant ? { retries: 7 } : {},
    );
  });

  // https://github.com/apache/dubbo-admin/issues/1091: dubbo-go knows addresses with a port only; here a host is enough.
  test.each([
    "side: consumer, addresses: ['10.0.0.1:20880']",
    "side: consumer, providerAddresses: ['10.0.0.1:20880', '10.9.9.9:1']",
    "addresses: [10.0.0.1]",
    "match: { providerAddress: { exact: '10.0.0.1:20880' } }",
    "side: consumer, match: { param: [ { key: instance, value: { exact: orders/1 } } ] }",
  ])("%s means one instance: its weight, and the time of an attempt at it", (what) => {
    const { endpoints, caller } = applied(`configs: [{ ${what}, parameters: { weight: "900", timeout: 50 } }]`);
    expect(caller).toEqual({});
    expect(endpoints.map(({ weight, attemptTimeoutMs }) => [weight, attemptTimeoutMs])).toEqual([
      [100, undefined],
      [900, 50],
    ]);
  });

  test("an instance's label is asked for where the caller has none of that name", () => {
    const labelled = [endpoint({ metadata: { zone: "eu" } }), endpoint({ id: "orders/1", metadata: { zone: "us" } })];
    const rule =
      "configs: [{ side: consumer, match: { param: [{ key: zone, value: { exact: eu } }] }, parameters: { weight: 1 } }]";
    const weights = (target: Partial<RouteTarget>) =>
      applied(rule, target, labelled).endpoints.map(({ weight }) => weight);
    expect(weights({})).toEqual([1, 100]);
    expect(weights({ labels: { zone: "eu" } })).toEqual([1, 1]);
    expect(weights({ labels: { zone: "us" } })).toEqual([100, 100]);
  });

  test.each([
    ["configs:\n  - parameters: { weight: -1 }", 2, /from 0/],
    ["configs:\n  - parameters: { weight: 1.5 }", 2, /whole/],
    ["configs:\n  - parameters: { weigth: 1 }", 2, /did you mean "weight"/],
    // What isn't built is refused, so that nobody believes it is in force.
    ["configs:\n  - parameters: { mock: force }", 2, /one of: weight, disabled, timeout/],
    ["configs:\n  - match: { host: { exact: a } }\n    parameters: {}", 2, /one of: address/],
    ["configs:\n  - side: provider", 2, undefined],
    ["configs:\n  - side: client\n    parameters: {}", 2, /provider, consumer/],
    ["configs:\n  - match: { address: { exact: a, wildcard: b } }\n    parameters: {}", 2, /wildcard, exact/],
    ["configs:\n  - parameters: { timeout: 0 }", 2, /from 1 to/],
    ["configs:\n  - parameters: { timeout: 3s }", 2, /whole/],
    ["configs:\n  - parameters: { loadbalance: fastest }", 2, /weighted-random.*random/],
    ["configs:\n  - parameters: { cluster: failovr }", 2, /failover/],
    ["configs:\n  - addresses: [10.0.0.1]\n    parameters: { retries: 1 }", 3, /leave out/],
    ["configs:\n  - match: { providerAddress: { exact: a } }\n    parameters: { Do.timeout: 1 }", 3, /leave out/],
    ["scope: service", 1, undefined],
  ])("%j is refused with its line", (content, line, hint) => {
    const refusal = expect.objectContaining({
      name: "RuleError",
      line,
      ...(hint !== undefined && { hint: expect.stringMatching(hint) as string }),
    }) as Error;
    expect(() => parse(content)).toThrow(refusal);
  });
});

describe("an access log", () => {
  const instances = [
    endpoint({ id: "orders/0", address: "10.0.0.1:20880" }),
    endpoint({ id: "orders/1", address: "10.0.0.2:20880", metadata: { zone: "eu" } }),
  ];
  /** What each of the two instances does. */
  const logged = (...documents: readonly string[]) =>
    instances.map((own) => isAccessLogged(own, documents.map(parse), client().target));
  const entry = (more: string) => `configs: [{ side: provider, ${more} }]`;

  test("is off until a rule says so, and for those whom it means", () => {
    expect(logged()).toEqual([false, false]);
    expect(logged(entry("parameters: { weight: 3 }"))).toEqual([false, false]);
    expect(logged(entry("parameters: { accesslog: true }"))).toEqual([true, true]);
    expect(logged(entry('parameters: { accesslog: "default" }'))).toEqual([true, true]);
    expect(logged(entry("addresses: [ '10.0.0.2:20880' ], parameters: { accesslog: true }"))).toEqual([false, true]);
    expect(
      logged(entry("match: { param: [ { key: zone, value: { exact: eu } } ] }, parameters: { accesslog: true }")),
    ).toEqual([false, true]);
    expect(logged(entry("match: { app: { oneof: [ { exact: stock } ] } }, parameters: { accesslog: true }"))).toEqual([
      false,
      false,
    ]);
  });

  test("is switched by the last entry that says anything, as other parameters are; false is off", () => {
    const on = entry("parameters: { accesslog: true }");
    expect(logged(on, entry("parameters: { accesslog: false }"))).toEqual([false, false]);
    expect(logged(on, entry('parameters: { accesslog: "FALSE" }'))).toEqual([false, false]);
    expect(logged(on, entry("parameters: { weight: 1 }"))).toEqual([true, true]);
    expect(
      logged(
        on,
        entry("match: { param: [ { key: instance, value: { exact: orders/1 } } ] }, parameters: { accesslog: false }"),
      ),
    ).toEqual([true, false]);
  });

  test("has no place of its own: a path switches it on, and no more, as with Dubbo's fixed path", () => {
    expect(logged(entry("parameters: { accesslog: /etc/cron.d/evil }"))).toEqual([true, true]);
  });

  test("changes nothing for callers", () => {
    const endpoints = pool(100, 100);
    expect(withOverrides(endpoints, parse(entry("parameters: { accesslog: true }")))).toBe(endpoints);
  });

  test("is no caller's, and of no single method", () => {
    expect(() => parse("configs: [{ side: consumer, parameters: { accesslog: true } }]")).toThrow(
      /callers have no access log/,
    );
    expect(() => parse(entry("parameters: { Do.accesslog: true }"))).toThrow(/Do\.accesslog/);
    expect(() => parse(entry("parameters: { accesslog: [ 1 ] }"))).toThrow();
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { client, endpoint, pool } from "../fixtures.ts";
import { noOverrides, overrideRules, withOverrides } from "./override.ts";

const parse = (content: string) => overrideRules.parse(content);

describe("overrides", () => {
  test("live under the service's configurators key", () => {
    expect(overrideRules.keys(client().target)).toEqual(["orders.configurators"]);
  });

  test("change the weight of the instances that match, and keep identity and statistics", () => {
    const endpoints = pool(100, 100);
    const rule = parse(`
configVersion: v3.0
scope: service
key: orders
enabled: true
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

  test("that change nothing answer the same array", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 200 })), (weights) => {
        const endpoints = pool(...weights);
        expect(withOverrides(endpoints, noOverrides)).toBe(endpoints);
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

  test.each([
    ["configs:\n  - parameters: { weight: -1 }", 2, /from 0/],
    ["configs:\n  - parameters: { weight: 1.5 }", 2, /whole/],
    ["configs:\n  - parameters: { weigth: 1 }", 2, /did you mean "weight"/],
    // What isn't built is refused, so that nobody believes it is in force.
    ["configs:\n  - parameters: { timeout: 100 }", 2, /one of: weight, disabled/],
    ["configs:\n  - match: { service: { oneof: [] } }\n    parameters: {}", 2, /one of: address/],
    ["configs:\n  - side: provider", 2, undefined],
    ["configs:\n  - side: client\n    parameters: {}", 2, /provider, consumer/],
    ["configs:\n  - match: { address: { exact: a, wildcard: b } }\n    parameters: {}", 2, /wildcard, exact/],
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

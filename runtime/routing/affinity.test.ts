import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, client, endpoint } from "../fixtures.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { affinity } from "./affinity.ts";
import { chainRoutes } from "./chain.ts";

const zoned = (...zones: readonly string[]): readonly Endpoint[] =>
  zones.map((zone, index) => endpoint({ id: `orders/${index}`, metadata: { zone } }));

const document = (ratio: number, rest = ""): string =>
  `configVersion: v3.1\nscope: application\nkey: orders\n${rest}affinityAware: { key: zone, ratio: ${ratio} }\n`;

function routed(text: string, endpoints: readonly Endpoint[], labels: Readonly<Record<string, string>>) {
  const rules = [affinity.parse(text)];
  return chainRoutes([{ policy: affinity, rules }], endpoints, client(1, { labels }))(call());
}

describe("affinity", () => {
  test("lives under the interface's key, the provider's application and the caller's", () => {
    expect(affinity.keys(client().target)).toEqual([
      "flyball.worker.v1.Worker::orders.affinity-router",
      "orders.affinity-router",
      "storefront.affinity-router",
    ]);
  });

  test("keeps a caller at home exactly as long as its own are at least the ratio", () => {
    const shareOf = fc.record({ own: fc.nat(20), others: fc.nat(20), ratio: fc.integer({ min: 0, max: 100 }) });
    fc.assert(
      fc.property(shareOf, ({ own, others, ratio }) => {
        fc.pre(own + others > 0);
        const all = zoned(...new Array<string>(own).fill("a"), ...new Array<string>(others).fill("b"));
        const isHome = own / (own + others) >= ratio / 100;
        expect(routed(document(ratio), all, { zone: "a" })).toEqual(isHome ? all.slice(0, own) : all);
      }),
    );
  });

  test("a caller without the label, and ratio 0, gets nobody: Dubbo's trap", () => {
    expect(routed(document(0), zoned("a", "b"), {})).toEqual([]);
    expect(routed(document(1), zoned("a", "b"), {})).toHaveLength(2);
  });

  test("disabled it restricts nothing", () => {
    const all = zoned("a", "b");
    expect(routed(document(0, "enabled: false\n"), all, { zone: "a" })).toBe(all);
  });

  test.each([
    ["affinityAware: { key: zone, ratio: 101 }", /from 0 to 100/],
    ["affinityAware: { key: zone, ratio: 1.5 }", /whole/],
    ["affinityAware: { key: zone }", undefined],
    ["key: orders", undefined],
    ["affinityAware: { zone: eu, ratio: 1 }", /key, ratio/],
  ])("%j is refused", (text, hint) => {
    expect(() => affinity.parse(text)).toThrow(
      expect.objectContaining({
        name: "RuleError",
        ...(hint && { hint: expect.stringMatching(hint) as string }),
      }) as Error,
    );
  });
});

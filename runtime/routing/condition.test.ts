import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, client, endpoint, isImplausible, type CallInit } from "../fixtures.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { chainRoutes } from "./chain.ts";
import { condition } from "./condition.ts";
import type { RouteTarget } from "./router.ts";

const fleet = [
  endpoint({ id: "orders/0", metadata: { region: "hangzhou" } }),
  endpoint({ id: "orders/1", metadata: { region: "hangzhou", env: "gray" } }),
  endpoint({ id: "orders/2", metadata: { region: "beijing" } }),
  endpoint({ id: "orders/3", metadata: { region: "beijing", env: "beta" } }),
];

interface Setting extends CallInit {
  readonly target?: Partial<RouteTarget>;
  readonly endpoints?: readonly Endpoint[];
}

function router(documents: readonly string[], { target, endpoints = fleet }: Setting = {}) {
  const rules = documents.map((text) => condition.parse(text));
  return chainRoutes([{ policy: condition, rules }], endpoints, client(1, target));
}

const routed = (text: string, setting: Setting = {}) => router([text], setting)(call(setting));
const ids = (endpoints: readonly Endpoint[]) => endpoints.map(({ id }) => id.slice(-1)).join("");
const v30 = (conditions: readonly string[], head = ""): string =>
  `configVersion: v3.0\nscope: service\nkey: orders\n${head}conditions:\n${conditions.map((text) => `  - ${text}\n`).join("")}`;
const v31 = (conditions: readonly unknown[], head: object = {}): string =>
  JSON.stringify({ configVersion: "v3.1", scope: "service", key: "orders", ...head, conditions });

describe("condition rules v3.0", () => {
  test("live under the interface's key, the provider's application and the caller's", () => {
    expect(condition.keys(client().target)).toEqual([
      "flyball.worker.v1.Worker::orders.condition-router",
      "orders.condition-router",
      "storefront.condition-router",
    ]);
  });

  test.each<readonly [rule: string, setting: Setting, ids: string]>([
    ["=> region=beijing", {}, "23"],
    ["region=beijing", {}, "23"],
    ["method=Do => region=beijing", {}, "23"],
    ["method=Do => region=beijing", { method: "/flyball.worker.v1.Worker/Stream" }, "0123"],
    ["arguments[0].key=u1* => region=beijing", { request: { key: "u17" } }, "23"],
    ["arguments[0].key=u1* => region=beijing", { request: { key: "u2" } }, "0123"],
    ["arguments[0]=tom => region=beijing", { request: "tom" }, "23"],
    ["arguments[1]=tom => region=beijing", { request: "tom" }, "0123"],
    ["attachments[Gray]=true => env=gray,beta", { metadata: { gray: "true" } }, "13"],
    ["attachments[gray]!=false => env=gray", {}, "0123"],
    ["attachments[amount]=100~ => region=beijing", { metadata: { amount: "250" } }, "23"],
    ["=> host != 10.0.0.1", {}, "023"],
    ["=> address=10.0.0.1:20880", {}, "1"],
    ["=> port=1~", {}, "0123"],
    ["=> instance=orders/3", {}, "3"],
    ["=> env!=gray", {}, "3"],
    ["application=storefront =>", {}, ""],
    ["application=other =>", {}, "0123"],
    ["application=storefront => false", {}, ""],
    ["true => region=beijing", {}, "23"],
    ["host=192.0.2.* => region=beijing", { target: { host: "192.0.2.7" } }, "23"],
    ["host=192.0.2.* => region=beijing", {}, "0123"],
    ["=> region=$region", { target: { labels: { region: "beijing" } } }, "23"],
    ["region=beijing => region=beijing", { target: { labels: { region: "beijing" } } }, "23"],
    ["version=1.0.0 => region=beijing", { target: { version: "1.0.0" } }, "23"],
    ["version=1.0.0 => region=beijing", {}, "0123"],
    ["protocol=tri => region=beijing", {}, "0123"],
    ["=> protocol=tri", {}, "0123"],
    [
      "=> protocol=jsonrpc",
      { endpoints: [...fleet, endpoint({ id: "orders/4", metadata: { protocol: "jsonrpc" } })] },
      "4",
    ],
    // Nobody fits, and the rule isn't forced.
    ["=> region=shanghai", {}, "0123"],
    ["=> region=$region", {}, "0123"],
  ])("%s", (rule, setting, expected) => {
    expect(ids(routed(v30([rule]), setting))).toBe(expected);
  });

  test("the conditions of a document narrow one after the other", () => {
    expect(ids(routed(v30(["=> region=hangzhou", "=> env=gray"])))).toBe("1");
    // The second would leave nobody, and is passed over.
    expect(ids(routed(v30(["=> region=hangzhou", "=> env=beta"])))).toBe("01");
    expect(ids(routed(v30(["=> region=hangzhou", "=> env=beta"], "force: true\n")))).toBe("");
  });

  test("force decides when nobody fits; a rule that is off restricts nothing", () => {
    expect(routed(v30(["=> region=shanghai"], "force: true\n"))).toEqual([]);
    expect(routed(v30(["=> region=beijing"], "enabled: false\n"))).toBe(fleet);
    expect(routed(v30(["=> region=beijing"], "valid: false\n"))).toBe(fleet);
    expect(ids(routed(v30(["=> region=beijing"], "runtime: false\npriority: 3\n")))).toBe("23");
  });

  test("documents of several scopes narrow one after the other", () => {
    expect(ids(router([v30(["=> region=hangzhou"]), v30(["=> env=gray"])])(call()))).toBe("1");
  });

  test("without a document, or where all fit, the answer is the very same array", () => {
    expect(router([])(call())).toBe(fleet);
    expect(routed(v30(["=> region=*"]))).toBe(fleet);
  });

  test("the same subset is the same array", () => {
    const route = router([v30(["attachments[a]=1 => region=hangzhou", "attachments[b]=1 => env=gray"])]);
    const ask = (entries: Record<string, string>) => route(call({ metadata: entries }));
    expect(ask({ a: "1" })).toBe(ask({ a: "1", c: "3" }));
    expect(ask({ a: "1", b: "1" })).toBe(ask({ b: "1", a: "1" }));
    expect(ids(ask({ b: "1" }))).toBe("1");
  });

  test.each([
    ["conditions:\n  - => region=a b", 2, /&/],
    ["conditions:\n  - => region=a\n  - => region", 3, /key=value/],
    ["conditions:\n  - method==a => region=b", 2, undefined],
    ["conditions: => region=a", 1, /a list/],
    ["configVersion: v3.2\nconditions: []", 1, /v3\.0, v3\.1/],
    ["conditions: []\nforce: maybe", 2, /true or false/],
    ["conditons: []", 1, /did you mean "conditions"/],
    ["scope: service", 1, undefined],
    ["conditions: [ { from: { match: a } } ]", 1, /text/],
  ])("%j is refused with its line", (text, line, hint) => {
    expect(() => condition.parse(text)).toThrow(
      expect.objectContaining({
        name: "RuleError",
        line,
        ...(hint && { hint: expect.stringMatching(hint) as string }),
      }) as Error,
    );
  });
});

describe("condition rules v3.1", () => {
  const split = (to: readonly unknown[], rest: object = {}) => ({ from: { match: "" }, to, ...rest });
  const draws = 3000;

  function shares(text: string, setting: Setting = {}): Map<string, number> {
    const route = router([text], setting);
    const counts = new Map<string, number>();
    for (let index = 0; index < draws; index++) {
      const found = ids(route(call(setting)));
      counts.set(found, (counts.get(found) ?? 0) + 1);
    }
    return counts;
  }

  test("split by weight, each call once and for all its retries", () => {
    const text = v31([
      split([
        { match: "region=hangzhou", weight: 20 },
        { match: "region=beijing", weight: 80 },
      ]),
    ]);
    const found = shares(text);
    expect([...found.keys()].sort()).toEqual(["01", "23"]);
    expect(isImplausible(found.get("01")!, draws, 0.2)).toBe(false);
    const route = router([text]);
    for (let index = 0; index < 100; index++) {
      const one = call();
      expect(route(one)).toBe(route(one));
    }
  });

  test("two splits draw independently", () => {
    const halves = [{ match: "region=hangzhou" }, { match: "region=beijing" }];
    const parity = [{ match: "instance=orders/0,orders/2" }, { match: "instance=orders/1,orders/3" }];
    const found = shares(v31([split(halves), split(parity)]));
    expect(found.size).toBe(4);
    for (const count of found.values()) expect(isImplausible(count, draws, 0.25)).toBe(false);
  });

  test("destinations without instances, and of weight 0, take nothing", () => {
    const nowhere = { match: "region=shanghai", weight: 90 };
    expect(shares(v31([split([nowhere, { match: "region=beijing" }])]))).toEqual(new Map([["23", draws]]));
    const zero = { match: "region=hangzhou", weight: 0 };
    expect(shares(v31([split([zero, { match: "region=beijing" }])]))).toEqual(new Map([["23", draws]]));
  });

  test("nobody fits: passed over, unless the condition or the document is forced", () => {
    const nowhere = [{ match: "region=shanghai" }];
    const next = split([{ match: "region=beijing" }]);
    expect(ids(routed(v31([split(nowhere), next])))).toBe("23");
    expect(ids(routed(v31([split(nowhere, { force: true }), next])))).toBe("");
    expect(ids(routed(v31([split(nowhere), next], { force: true })))).toBe("");
  });

  test("a higher priority comes first, equals in their order", () => {
    const first = split([{ match: "env=gray" }], { priority: 10, force: true });
    const second = split([{ match: "region=beijing" }], { force: true });
    // env=gray is in hangzhou: whoever comes second finds nobody left, and says so.
    expect(ids(routed(v31([second, first])))).toBe("");
    expect(ids(routed(v31([{ ...second, force: false }, first])))).toBe("1");
  });

  test("a destination counts only when it is more than the ratio", () => {
    const half = (ratio: number) => v31([split([{ match: "region=hangzhou" }], { ratio })]);
    expect(ids(routed(half(49)))).toBe("01");
    expect(ids(routed(half(50)))).toBe("");
    // Of 200 one is 0 % in whole numbers, which isn't more than 0.
    const many = Array.from({ length: 200 }, (_, index) => endpoint({ id: `orders/${index}` }));
    expect(routed(v31([split([{ match: "instance=orders/7" }])]), { endpoints: many })).toEqual([]);
  });

  test.each([{ trafficDisable: true }, {}])("%j without `to` leaves nobody to those that it means", (more) => {
    const text = v31([{ from: { match: "attachments[bot]=true" }, ...more }]);
    expect(routed(text, { metadata: { bot: "true" } })).toEqual([]);
    expect(routed(text)).toBe(fleet);
  });

  test("an empty match is everybody", () => {
    expect(routed(v31([split([{ match: "" }])]))).toBe(fleet);
  });

  test.each([
    [[split([{ match: "a=b", weight: -1 }])], /from 0/],
    [[split([{ match: "a=b", weight: 1.5 }])], /whole/],
    [[split([{ match: "a=b", weight: 0 }, { weight: 0 }])], /trafficDisable/],
    [[split([], { ratio: 101 })], /from 0 to 100/],
    [[split([{ match: "a" }])], /key=value/],
  ])("%j is refused", (conditions, hint) => {
    expect(() => condition.parse(v31(conditions))).toThrow(
      expect.objectContaining({
        name: "RuleError",
        ...(hint && { hint: expect.stringMatching(hint) as string }),
      }) as Error,
    );
  });
});

describe("any rule, on any call", () => {
  const side = fc
    .array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.boolean(), fc.subarray(["1", "2", "3"], { minLength: 1 })), {
      maxLength: 3,
    })
    .map((terms) => terms.map(([key, isEqual, values]) => ({ key, isEqual, values })));
  const rule = fc.record({ when: side, then: fc.option(side, { nil: undefined }) });
  const labels = fc.record(
    { a: fc.constantFrom("1", "2", "3"), b: fc.constantFrom("1", "2", "3"), c: fc.constantFrom("1", "2", "3") },
    { requiredKeys: [] },
  );
  type Side = { readonly key: string; readonly isEqual: boolean; readonly values: readonly string[] }[];
  const text = (terms: Side, wrap = (key: string) => key) =>
    terms.map(({ key, isEqual, values }) => `${wrap(key)}${isEqual ? "=" : "!="}${values.join(",")}`).join(" & ");

  /** Said again, as plainly as it can be. */
  function fits(terms: Side, values: Readonly<Record<string, string | undefined>>): boolean {
    return terms.every(({ key }) => {
      const value = values[key];
      const wanted = terms.filter((term) => term.key === key && term.isEqual).flatMap((term) => term.values);
      const unwanted = terms.filter((term) => term.key === key && !term.isEqual).flatMap((term) => term.values);
      return value !== undefined && !unwanted.includes(value) && (wanted.length === 0 || wanted.includes(value));
    });
  }

  test("answers what a reference interpreter answers", () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 4 }),
        fc.array(labels, { minLength: 1, maxLength: 6 }),
        labels,
        fc.boolean(),
        (rules, instances, asked, force) => {
          const endpoints = instances.map((metadata, index) => endpoint({ id: `orders/${index}`, metadata }));
          let expected: readonly Endpoint[] = endpoints;
          for (const { when, then } of rules) {
            if (!fits(when, asked)) continue;
            const left =
              then === undefined || then.length === 0 ? [] : expected.filter((one) => fits(then, one.metadata));
            if (left.length > 0 || force || then === undefined || then.length === 0) expected = left;
          }
          const conditions = rules.map(
            ({ when, then }) => `${text(when, (key) => `attachments[${key}]`)} => ${text(then ?? [])}`,
          );
          const document = JSON.stringify({ force, conditions });
          expect(routed(document, { endpoints, metadata: asked })).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a thousand conditions that meet in every way stay within bounds", () => {
    const conditions = Array.from({ length: 300 }, (_, index) => `attachments[k${index}]=1 => n!=${index}`);
    const endpoints = Array.from({ length: 600 }, (_, index) =>
      endpoint({ id: `orders/${index}`, metadata: { n: String(index) } }),
    );
    const route = router([JSON.stringify({ conditions })], { endpoints });
    for (let round = 0; round < 60; round++) {
      const chosen = Array.from({ length: 300 }, (_, index) => index).filter((index) => (index * 7 + round) % 3 === 0);
      const metadata = Object.fromEntries(chosen.map((index) => [`k${index}`, "1"]));
      expect(route(call({ metadata }))).toHaveLength(600 - chosen.length);
    }
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Endpoint } from "../discovery/endpoint.ts";
import { call, client, endpoint, isImplausible } from "../fixtures.ts";
import { canary } from "./canary.ts";
import { chainRoutes } from "./chain.ts";
import type { Route } from "./router.ts";
import { tag } from "./tag.ts";

const stable = [endpoint({ id: "orders/0" }), endpoint({ id: "orders/1" })];
const v2 = [endpoint({ id: "orders/2", tag: "v2" }), endpoint({ id: "orders/3", tag: "v2" })];
const v3 = endpoint({ id: "orders/4", tag: "v3" });
const fleet = [...stable, ...v2, v3];

interface Split {
  readonly percents: Readonly<Record<string, number>>;
  readonly salt?: string;
  readonly hashKey?: string | null;
  readonly enabled?: boolean;
}

function document({ percents, salt = "exp1", hashKey = "user-id", enabled = true }: Split): string {
  const split = Object.entries(percents).map(([tag, percent]) => ({ tag, percent }));
  return JSON.stringify({ configVersion: "v1.0", scope: "service", key: "orders", enabled, hashKey, salt, split });
}

function router(split: Split, endpoints: readonly Endpoint[] = fleet, seed = 1, tagRule?: string): Route {
  return chainRoutes(
    [
      { policy: tag, rules: tagRule === undefined ? [] : [tag.parse(tagRule)] },
      { policy: canary, rules: [canary.parse(document(split))] },
    ],
    endpoints,
    client(seed),
  );
}

const user = (name: string) => call({ metadata: { "user-id": name } });

describe("canary router", () => {
  test("a user's bucket is murmur3(salt:user) mod 10000, and the split begins at 0", () => {
    for (const [name, bucket] of [
      ["u1", 3651],
      ["u2", 6741],
      ["u3", 3839],
    ] as const) {
      expect(router({ percents: { v2: bucket / 100 } })(user(name))).toEqual(stable);
      expect(router({ percents: { v2: (bucket + 1) / 100 } })(user(name))).toEqual(v2);
      // The second tag's buckets begin where the first one's end.
      expect(router({ percents: { v2: bucket / 100, v3: 0.01 } })(user(name))).toEqual([v3]);
    }
  });

  test("of 100,000 known users 10,103 are in the first 10 %", () => {
    const route = router({ percents: { v2: 10 } });
    let inside = 0;
    for (let index = 0; index < 100_000; index++) if (route(user(`user${index}`))[0] === v2[0]) inside++;
    expect(inside).toBe(10_103);
  });

  test("nobody leaves a tag while its percentage grows, and with one tag nobody else moves", () => {
    fc.assert(
      fc.property(fc.nat({ max: 10_000 }), fc.nat({ max: 10_000 }), fc.string(), (x, y, name) => {
        const [low, high] = [Math.min(x, y), Math.max(x, y)];
        const before = router({ percents: { v2: low / 100 } })(user(name));
        const after = router({ percents: { v2: high / 100 } })(user(name));
        if (before[0] === v2[0]) expect(after).toEqual(v2);
        if (high === 10_000) expect(after).toEqual(v2);
        if (high === 0) expect(after).toEqual(stable);
      }),
    );
    fc.assert(
      fc.property(
        fc.nat({ max: 5000 }),
        fc.nat({ max: 4000 }),
        fc.nat({ max: 1000 }),
        fc.string(),
        (a, b, more, name) => {
          const before = router({ percents: { v2: a / 100, v3: b / 100 } })(user(name));
          const after = router({ percents: { v2: (a + more) / 100, v3: b / 100 } })(user(name));
          if (before[0] === v2[0]) expect(after).toEqual(v2);
        },
      ),
    );
  });

  test("splits distinct users by percentage, and another salt splits them independently", () => {
    const one = router({ percents: { v2: 20 }, salt: "one" });
    const two = router({ percents: { v2: 20 }, salt: "two" });
    const trials = 10_000;
    const hits = { one: 0, both: 0 };
    for (let index = 0; index < trials; index++) {
      const isOne = one(user(`customer-${index}`))[0] === v2[0];
      if (isOne) hits.one++;
      if (isOne && two(user(`customer-${index}`))[0] === v2[0]) hits.both++;
    }
    expect(isImplausible(hits.one, trials, 0.2)).toBe(false);
    expect(isImplausible(hits.both, trials, 0.04)).toBe(false);
    expect(isImplausible(hits.one, trials, 0.4)).toBe(true);
  });

  test("the same user meets the same version on every client and after every push", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), fc.integer(), (name, seedA, seedB) => {
        const ids = (seed: number): readonly string[] =>
          router({ percents: { v2: 50 } }, [...fleet], seed)(user(name)).map(({ id }) => id);
        expect(ids(seedA)).toEqual(ids(seedB));
      }),
    );
  });

  test("a call without a key draws once, also when it is tried again; clients draw independently", () => {
    const trials = 10_000;
    const mine = router({ percents: { v2: 20 } }, fleet, 111);
    const theirs = router({ percents: { v2: 20 } }, fleet, 222);
    const hits = { mine: 0, both: 0 };
    for (let id = 1; id <= trials; id++) {
      const once = call({ id });
      const routed = mine(once);
      expect(mine(once)).toBe(routed);
      if (routed[0] === v2[0]) hits.mine++;
      // Nodes number their calls alike: the same number on another node is another draw.
      if (routed[0] === v2[0] && theirs(call({ id }))[0] === v2[0]) hits.both++;
    }
    expect(isImplausible(hits.mine, trials, 0.2)).toBe(false);
    expect(isImplausible(hits.both, trials, 0.04)).toBe(false);
  });

  test("without a hashKey every call draws, whatever it carries", () => {
    const route = router({ percents: { v2: 50 }, hashKey: null });
    const versions = new Set(Array.from({ length: 100 }, () => route(user("u1"))[0]));
    expect(versions.size).toBe(2);
  });

  test("a call with a request tag goes by the tag router alone", () => {
    const route = router({ percents: { v2: 100 } });
    expect(route(call({ metadata: { "dubbo.tag": "v3", "user-id": "u1" } }))).toEqual([v3]);
    expect(route(call({ metadata: { "dubbo.tag": "unknown", "user-id": "u1" } }))).toEqual(stable);
  });

  test("a lane that the split doesn't name stays closed to calls without its tag", () => {
    expect(router({ percents: { v2: 0 } })(user("u1"))).toEqual(stable);
    const grouped = "tags: [{ name: dev, addresses: ['10.0.0.1:*'] }, { name: v3, addresses: [] }, { name: v2 }]";
    expect(router({ percents: { v2: 0 } }, fleet, 1, grouped)(user("u1"))).toEqual([stable[0]]);
  });

  test("a tag without instances that take traffic leaves its users to the baseline", () => {
    expect(router({ percents: { v2: 100 } }, stable)(user("u1"))).toBe(stable);
    const drained = [...stable, endpoint({ id: "orders/2", tag: "v2", weight: 0 })];
    expect(router({ percents: { v2: 100 } }, drained)(user("u1"))).toEqual(stable);
  });

  test("a fleet of tagged versions only has a baseline too: those not named, else all", () => {
    expect(router({ percents: { v2: 0 } }, [...v2, v3])(user("u1"))).toEqual([v3]);
    expect(router({ percents: { v2: 0 } }, v2)(user("u1"))).toBe(v2);
  });

  test("answers from a handful of arrays, so that pickers can be kept by them", () => {
    const route = router({ percents: { v2: 30, v3: 30 } });
    const answers = new Set(Array.from({ length: 1000 }, (_, index) => route(user(`u${index}`))));
    expect(answers.size).toBe(3);
  });

  test("disabled, or without a document, it restricts nothing", () => {
    expect(router({ percents: { v2: 100 }, enabled: false })(user("u1"))).toEqual(stable);
    const plain = chainRoutes([{ policy: canary, rules: [] }], fleet, client());
    expect(plain(user("u1"))).toBe(fleet);
  });

  test("tells telemetry which key it sticks to", () => {
    expect(canary.stickyKey!(canary.parse(document({ percents: {}, hashKey: "User-Id" })))).toBe("user-id");
    expect(canary.stickyKey!(canary.parse(document({ percents: {}, hashKey: null })))).toBeUndefined();
    expect(canary.stickyKey!(canary.parse(document({ percents: {}, enabled: false })))).toBeUndefined();
  });

  test("the salt is the key unless the document says otherwise", () => {
    expect(canary.parse("key: orders\nsplit: []").salt).toBe("orders");
  });

  test.each([
    ["key: orders\nsplit:\n  - tag: v2\n    percent: 10.001", 4, "WRONG_VALUE", /0\.01/],
    ["key: orders\nsplit:\n  - tag: v2\n    percent: 101", 4, "WRONG_VALUE", /0 to 100/],
    ["key: orders\nsplit:\n  - tag: v2\n    percent: '10'", 4, "WRONG_TYPE", /number/],
    ["key: orders\nsplit:\n  - { tag: v2, percent: 60 }\n  - { tag: v3, percent: 41 }", 4, "WRONG_VALUE", undefined],
    ["key: orders\nsplit:\n  - { tag: v2, percent: 1 }\n  - { tag: v2, percent: 1 }", 4, "WRONG_VALUE", undefined],
    ["key: orders\nsplit:\n  - { tag: v2, percnt: 1 }", 3, "UNKNOWN_KEY", /percent/],
    ["key: orders\nsplit:\n  - { tag: v2 }", 3, "MISSING_KEY", undefined],
    ["key: orders\nhashKey: ''\nsplit: []", 2, "WRONG_VALUE", /user/],
    ["key: orders\nhash-key: user-id\nsplit: []", 2, "UNKNOWN_KEY", /hashKey/],
    ["key: orders\nsplit:\n  v2: 10", 3, "WRONG_TYPE", /list/],
  ])("%j is refused at line %i", (content, line, code, hint) => {
    const refusal = expect.objectContaining({
      line,
      code,
      ...(hint !== undefined && { hint: expect.stringMatching(hint) as string }),
    }) as Error;
    expect(() => canary.parse(content)).toThrow(refusal);
  });

  test("every hundredth of a percent can be written", () => {
    for (let bucket = 0; bucket <= 10_000; bucket++) {
      const [share] = canary.parse(`{ key: orders, split: [{ tag: v2, percent: ${bucket / 100} }] }`).split;
      expect(share!.buckets).toBe(bucket);
    }
  });
});

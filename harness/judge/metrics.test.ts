import { describe, expect, test } from "vitest";

import type { CallRecord, History } from "../history/history.ts";
import type { MetricsRecord } from "../history/record.ts";
import { metrics } from "../scenario/builders.ts";
import { calls, historyOf, judgeCheck, planOf, type PlanSketch } from "./fixtures.ts";

const docker = "docker";
const check = metrics("orders");
const plan = planOf([check], { world: docker });

/** What Prometheus would say of these calls if it missed nothing. */
function counted(made: readonly CallRecord[]): MetricsRecord[] {
  const of = (node: string): MetricsRecord => ({
    type: "metrics",
    atUs: 9_000_000,
    node,
    scrapedUs: 8_900_000,
    isWhole: true,
    calls: [],
    attempts: [],
    served: [],
  });
  const tally = (keys: readonly string[]) =>
    Object.entries(Object.groupBy(keys, (key) => key)).map(([key, all]) => [key, all!.length] as const);
  const ended = made.filter(({ code }) => code !== undefined);
  const storefront: MetricsRecord = {
    ...of("storefront/0"),
    calls: tally(ended.map(({ code }) => code!)).map(([code, count]) => ({
      service: "orders",
      code: code as "OK",
      count,
    })),
    attempts: tally(ended.flatMap(({ attempts }) => attempts.map(({ instance }) => instance))).map(
      ([instance, count]) => ({ service: "orders", instance, count }),
    ),
  };
  const instances = ["orders/0", "orders/1", "orders/2", "orders/3"].map((node) => {
    const attempts = ended.flatMap((call) => call.attempts.filter(({ instance }) => instance === node));
    return {
      ...of(node),
      served: tally(attempts.map(({ code }) => code)).map(([code, count]) => ({ code: code as "OK", count })),
    };
  });
  return [storefront, ...instances];
}

/** Calls to all four, some of which fail once or for good. */
const made = calls(960, (index) => ({
  to: `orders/${index % 4}`,
  ...(index % 10 === 0 && { before: [`orders/${(index + 1) % 4}`] }),
  ...(index % 97 === 0 && { code: "UNAVAILABLE" }),
}));

function judged(change: (records: MetricsRecord[]) => MetricsRecord[], more: Partial<History> = {}, some = made) {
  return judgeCheck(plan, historyOf(plan, some, { metrics: change(counted(some)), ...more }));
}
const changing = (node: string, change: (record: MetricsRecord) => Partial<MetricsRecord>) => (all: MetricsRecord[]) =>
  all.map((record) => (record.node === node ? { ...record, ...change(record) } : record));
const plus =
  (by: number) =>
  <Counted extends { readonly count: number }>(all: readonly Counted[]): readonly Counted[] =>
    all.map((one, index) => (index === 0 ? { ...one, count: one.count + by } : one));
const gap = (fromUs: number) => ({
  gaps: [{ type: "gap", node: "storefront/0", fromUs, toUs: 8_000_000 }],
});

describe("a fleet whose nodes were scraped after all that they did", () => {
  test("passes when every count is the history's", () => {
    expect(judged((all) => all)).toMatchObject({
      verdict: "pass",
      observed: "0 of 10 differ",
      bound: "0 differ",
      detects: "1 call",
      trials: 960,
      falseAlarm: 0,
    });
  });

  // The mild sabotage is exactly what the check says it detects: a single call.
  test.each([
    ["calls", 1],
    ["calls", -1],
    ["attempts", 1],
    ["attempts", -1],
  ] as const)("fails when %s of a caller are off by %d", (what, by) => {
    const change = (record: MetricsRecord) =>
      what === "calls" ? { calls: plus(by)(record.calls) } : { attempts: plus(by)(record.attempts) };
    expect(judged(changing("storefront/0", change))).toMatchObject({ verdict: "fail", observed: "1 of 10 differ" });
  });

  test("fails when nothing was counted at all", () => {
    const result = judged((all) => all.map((record) => ({ ...record, calls: [], attempts: [], served: [] })));
    expect(result).toMatchObject({ verdict: "fail", observed: "10 of 10 differ" });
    expect(result.message).toBe(
      "calls of orders by storefront/0 that ended OK: Prometheus counted 0, the history has 950 (and 9 more)",
    );
  });

  test("fails when a status is counted that no call ended with", () => {
    const extra = { service: "orders", code: "INTERNAL", count: 1 } as const;
    const result = judged(changing("storefront/0", ({ calls: counts }) => ({ calls: [...counts, extra] })));
    expect(result.message).toMatch(/that ended INTERNAL: Prometheus counted 1, the history has 0/);
    expect(result.verdict).toBe("fail");
  });

  test("an instance served at least what succeeded there and at most what was tried", () => {
    const failed = made
      .flatMap(({ attempts }) => attempts)
      .filter(({ instance, code }) => instance === "orders/1" && code !== "OK").length;
    const served = (by: number) =>
      judged(changing("orders/1", (record) => ({ served: [{ code: "OK", count: total(record) + by }] })));
    expect(failed).toBeGreaterThan(0);
    expect([served(0), served(-failed)].map(({ verdict }) => verdict)).toEqual(["pass", "pass"]);
    expect(served(1)).toMatchObject({ verdict: "fail" });
    expect(served(-failed - 1)).toMatchObject({ verdict: "fail" });
  });

  test("counts of other services are nobody's business", () => {
    const other = { service: "registry", code: "OK", count: 7 } as const;
    expect(judged(changing("storefront/0", ({ calls: counts }) => ({ calls: [...counts, other] }))).verdict).toBe(
      "pass",
    );
  });
});

describe("a node that was killed", () => {
  test("may have been counted short, and never long", () => {
    const long = changing("storefront/0", (record) => ({ scrapedUs: 3_000_000, calls: plus(1)(record.calls) }));
    const short = changing("storefront/0", (record) => ({ scrapedUs: 3_000_000, calls: plus(-5)(record.calls) }));
    const killed = gap(4_000_000) as Partial<History>;
    expect(judged(short, killed).verdict).toBe("pass");
    expect(judged(long, killed)).toMatchObject({
      verdict: "fail",
      message: expect.stringMatching(/Prometheus counted 11, the history has at most 10/) as string,
    });
  });

  test("and scraped after its history ends, may have made as many more calls as were planned", () => {
    const long = (by: number) =>
      changing("storefront/0", (record) => ({
        scrapedUs: 4_000_000,
        calls: plus(by)(record.calls),
        attempts: plus(by)(record.attempts),
      }));
    const planned = new Map([["storefront/0", 962]]);
    const verdictOf = (by: number) => judged(long(by), { ...(gap(4_000_000) as Partial<History>), planned }).verdict;
    expect([verdictOf(2), verdictOf(3)]).toEqual(["pass", "fail"]);
  });

  test("as an instance, may have served calls that no scrape saw", () => {
    const processes = [{ type: "process", atUs: 1, node: "orders/1", state: "exited" }] as const;
    const fewer = changing("orders/1", () => ({ served: [{ code: "OK", count: 3 }] }));
    expect(judged(fewer).verdict).toBe("fail");
    expect(judged(fewer, { processes }).verdict).toBe("pass");
  });

  test("as a caller, may have made attempts that only its instances know of", () => {
    const planned = new Map([["storefront/0", 962]]);
    const more = (by: number) =>
      changing("orders/1", (record) => ({ served: [{ code: "OK", count: total(record) + by }] }));
    const verdictOf = (by: number) => judged(more(by), { ...(gap(4_000_000) as Partial<History>), planned }).verdict;
    // Two calls with three attempts each, by the caller's settings.
    expect([verdictOf(6), verdictOf(7)]).toEqual(["pass", "fail"]);
    const unplanned = { ...(gap(4_000_000) as Partial<History>), planned: new Map<string, number>() };
    expect(judged(more(1_000), unplanned).verdict).toBe("pass");
  });
});

test("a node that lived and whose last scrape came too early leaves it open, and was never counted long", () => {
  const short = changing("storefront/0", (record) => ({ isWhole: false, calls: plus(-1)(record.calls) }));
  const long = changing("storefront/0", (record) => ({ isWhole: false, calls: plus(1)(record.calls) }));
  expect([judged(short).verdict, judged(long).verdict]).toEqual(["inconclusive", "fail"]);
  expect(judged(short).message).toBe("Prometheus didn't scrape storefront/0 after its last call");
});

test("a Prometheus that sees nobody agrees with nothing", () => {
  const unseen = { isWhole: false, scrapedUs: null, calls: [], attempts: [], served: [] };
  expect(judged((all) => all.map((record) => ({ ...record, ...unseen }))).verdict).toBe("inconclusive");
});

test("calls of unknown end may have been served", () => {
  const some = [...made, ...calls(3, () => ({ code: "unknown" }))];
  const more = (by: number) =>
    judged(
      changing("orders/1", (record) => ({ served: [{ code: "OK", count: total(record) + by }] })),
      {},
      some,
    ).verdict;
  // Three calls with three attempts each, by the caller's settings.
  expect([more(9), more(10)]).toEqual(["pass", "fail"]);
});

test("where Prometheus wasn't asked, or nothing was called, nothing is judged", () => {
  expect(judged((all) => all.slice(0, 2))).toMatchObject({
    verdict: "inconclusive",
    message: "Prometheus wasn't asked about orders/1",
  });
  expect(judged(() => []).verdict).toBe("inconclusive");
  expect(judged((all) => all, {}, []).verdict).toBe("inconclusive");
});

describe("the plan", () => {
  test.each(["sim", "local"] as const)("refuses world %s, which has no Prometheus", (world) => {
    expect(() => planOf([check], { world })).toThrow(/has no Prometheus/);
  });

  test("asks for one call at least", () => {
    const sketch: PlanSketch = { world: docker, rate: "1/s", length: "1s" };
    expect(() => planOf([check], sketch)).toThrow(/can count on 0 trials, and needs 1/);
  });
});

const total = ({ served }: MetricsRecord): number => served.reduce((sum, { count }) => sum + count, 0);

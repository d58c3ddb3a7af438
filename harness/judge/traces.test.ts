import { describe, expect, test } from "vitest";

import type { History } from "../history/history.ts";
import { at, traces } from "../scenario/builders.ts";
import { call, calls, drawnCalls, historyOf, judgeCheck, planOf, tracedCalls } from "./fixtures.ts";

const check = traces("orders").detects("2%");
const plan = planOf([check], { sample: 1 });

type Spans = History["spans"][number][];

/** 960 calls, every tenth retried, their spans as `change` makes them. */
function judged(change: (spans: Spans) => Spans, more: Partial<History> = {}, of = plan) {
  const made = calls(960, (index) => (index % 10 === 0 ? { before: ["orders/1"] } : {}));
  const { calls: traced, spans } = tracedCalls(made);
  return judgeCheck(of, historyOf(of, traced, { spans: change(spans), ...more }));
}

const without =
  (isGone: (span: Spans[number]) => boolean, count = 1) =>
  (spans: Spans): Spans => {
    let left = count;
    return spans.filter((span) => !(isGone(span) && left-- > 0));
  };

const changed =
  (isMeant: (span: Spans[number]) => boolean, more: Partial<Spans[number]>) =>
  (spans: Spans): Spans => {
    const index = spans.findIndex(isMeant);
    return spans.with(index, { ...spans[index]!, ...more });
  };

const isClient = ({ kind }: Spans[number]): boolean => kind === "client";
const isServer = ({ kind }: Spans[number]): boolean => kind === "server";
const isOwn = ({ kind }: Spans[number]): boolean => kind === "internal";

describe("what it counts", () => {
  test("calls whose trace is whole", () => {
    expect(judged((spans) => spans)).toMatchObject({
      verdict: "pass",
      observed: "0 of 960",
      bound: "0 broken",
      falseAlarm: 0,
      trials: 960,
      message: "each of 960 calls of orders is one connected trace",
    });
  });

  test.each([
    ["an attempt's span is lost", without(isClient), "it took 2 attempts, and has 1 client span"],
    ["the call's own span is lost", without(isOwn), "its own span is missing"],
    ["the server never heard of the trace", without(isServer), "was answered, and has 0 server spans under it"],
    [
      "a span's parent isn't there",
      changed(isServer, { parentId: "f".repeat(16) }),
      "the parent of the server span of orders/0 (Do) is missing",
    ],
    [
      "it has another root",
      (spans: Spans) =>
        [...spans, { ...spans[1]!, spanId: "e".repeat(16), parentId: undefined as never }].map(
          ({ parentId, ...span }) => (parentId === undefined ? span : { ...span, parentId }),
        ),
      "it has 2 roots",
    ],
    [
      "an attempt went elsewhere",
      changed(isClient, { attributes: { "flyball.instance": "orders/3" } }),
      "has a client span that says orders/3",
    ],
    ["one id is there twice", (spans: Spans) => [...spans, spans.find(isServer)!], "two spans have one id"],
    ["a child begins too early", changed(isServer, { beginUs: -1 }), "begins"],
    ["a child ends too late", changed(isServer, { atUs: 8_000_000 }), "ends"],
  ])("a trace is broken when %s", (_, change, message) => {
    const result = judged(change);
    expect(result).toMatchObject({ verdict: "fail", observed: "1 of 960" });
    expect(result.message).toContain(message);
  });

  test("a call that isn't traced where every call is to be", () => {
    const made = calls(960);
    const { calls: traced, spans } = tracedCalls(made);
    const untraced = historyOf(plan, traced.with(5, made[5]!), { spans });
    expect(judgeCheck(plan, untraced)).toMatchObject({ verdict: "fail", observed: "1 of 960" });
    const half = planOf([check], { sample: 0.5 });
    expect(judgeCheck(half, untraced)).toMatchObject({ verdict: "pass", trials: 959 });
    expect(judgeCheck(half, historyOf(half, made))).toMatchObject({ verdict: "inconclusive" });
  });

  test("an attempt that failed needs nobody who served it, and may outlast who gave up on it", () => {
    const late = (spans: Spans): Spans => [
      ...spans,
      {
        ...spans.find(isServer)!,
        traceId: spans[0]!.traceId,
        spanId: "d".repeat(16),
        parentId: spans[0]!.spanId,
        atUs: 9e6,
      },
    ];
    expect(judged(late).verdict).toBe("pass");
  });

  test("in real time a child may reach over its parent by what reading a clock takes", () => {
    const local = planOf([check], { sample: 1, world: "local" });
    const first = tracedCalls(calls(960)).spans.find(isServer)!;
    const by = (us: number) => changed(isServer, { beginUs: first.beginUs + 1_000 - us });
    expect(judged(by(900), {}, local).verdict).toBe("pass");
    expect(judged(by(1_100), {}, local).verdict).toBe("fail");
    expect(judged(by(900)).verdict).toBe("fail");
  });
});

describe("what nobody can be blamed for", () => {
  const orphaned = changed(isServer, { parentId: "f".repeat(16) });

  test("spans that went with a node that was killed, and records that did", () => {
    const killed = planOf([check], { sample: 1, timeline: [at("2ms").kill("orders/1")] });
    expect(judged(orphaned, {}, killed).verdict).toBe("pass");
    const later = planOf([check], { sample: 1, timeline: [at("2s").kill("orders/1")] });
    expect(judged(orphaned, {}, later).verdict).toBe("fail");
    const gap = { type: "gap", node: "orders/1", fromUs: 0, toUs: 100_000 } as const;
    expect(judged(orphaned, { gaps: [gap] }).verdict).toBe("pass");
    expect(judged(without(isServer), { gaps: [gap] }).verdict).toBe("pass");
    // The caller lives, and knows what it did.
    expect(judged(without(isClient), { gaps: [gap] }).verdict).toBe("fail");
  });

  test("calls of unknown end", () => {
    const { calls: traced, spans } = tracedCalls([...calls(960), call({ dueUs: 4_000_000, code: "unknown" })]);
    expect(judgeCheck(plan, historyOf(plan, traced, { spans }))).toMatchObject({
      verdict: "pass",
      trials: 960,
      message: "each of 960 calls of orders is one connected trace, 1 of unknown end",
    });
  });
});

describe("read back from a trace store", () => {
  const readBack = (spans: Spans): Spans => spans.map((span) => ({ ...span, source: "jaeger" as const }));

  test("what came back is judged, and must be all that nodes reported", () => {
    expect(judged((spans) => [...spans, ...readBack(spans)])).toMatchObject({
      verdict: "pass",
      message: "each of 960 calls of orders is one connected trace in the trace store",
    });
    expect(judged((spans) => [...spans, ...without(isClient)(readBack(spans))])).toMatchObject({ verdict: "fail" });
    const stray = judged((spans) => [
      ...spans,
      { ...spans.find(isServer)!, spanId: "c".repeat(16) },
      ...readBack(spans),
    ]);
    expect(stray).toMatchObject({ verdict: "fail", observed: "1 of 960" });
    expect(stray.message).toContain("1 span that nodes reported never arrived there");
  });

  test("nothing that came back is nothing that was found", () => {
    const history = historyOf(plan, []);
    const result = judged((spans) => spans, { run: { ...history.run, world: "docker" } });
    expect(result).toMatchObject({ verdict: "fail", observed: "960 of 960" });
  });
});

describe("the plan", () => {
  test("refuses a scenario that doesn't trace", () => {
    expect(() => planOf([check])).toThrow(/doesn't trace its calls/);
    expect(() => planOf([check], { sample: 0 })).toThrow(/doesn't trace its calls/);
  });

  test("counts on what sampling leaves", () => {
    expect(plan.checks[0]).toMatchObject({ expectedTrials: 960, detects: "2% broken" });
    expect(planOf([check], { sample: 0.5 }).checks[0]!.expectedTrials).toBe(480);
    expect(() => planOf([check], { sample: 0.3 })).toThrow(/can count on \d+ trials, and needs 342/);
    expect(() => planOf([check], { sample: 1, rate: "30/s" })).toThrow(/needs 342/);
  });
});

test("what it detects it finds in 99 of 100 draws", () => {
  const tight = planOf([check], { sample: 1, rate: "55/s" });
  let found = 0;
  for (let seed = 0; seed < 300; seed++) {
    let lost = 0;
    const made = drawnCalls(tight, seed, (_due, random) => ({ key: random.float() < 0.02 ? "lost" : "kept" }));
    const { calls: traced, spans } = tracedCalls(made);
    const unlucky = new Set(traced.filter(({ key }) => key === "lost").map(({ traceId }) => traceId));
    const left = spans.filter((span) => !(isClient(span) && unlucky.has(span.traceId) && ++lost > 0));
    expect(lost).toBe(unlucky.size);
    if (judgeCheck(tight, historyOf(tight, traced, { spans: left })).verdict === "fail") found++;
  }
  expect(found).toBeGreaterThanOrEqual(297);
});

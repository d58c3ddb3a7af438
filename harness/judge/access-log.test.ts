import { describe, expect, test } from "vitest";

import type { History } from "../history/history.ts";
import { accessLog, consumer, foreign, poisson, provider, scenario } from "../scenario/builders.ts";
import { planScenario } from "../scenario/planner.ts";
import { call, calls, historyOf, judgeCheck, planOf } from "./fixtures.ts";
import { judgeRun } from "./judge.ts";

const check = accessLog("orders").on("2s").off("6s").within("500ms").detects("2%");
const plan = planOf([check]);

type Line = History["accesses"][number];
const line = (beginUs: number, more: Partial<Line> = {}): Line => ({
  type: "access",
  node: "orders/0",
  atUs: beginUs + 3_000,
  beginUs,
  service: "orders",
  method: "/flyball.worker.v1.Worker/Do",
  line: "",
  ...more,
});

/** 960 calls of 5 ms each in 8 s, overlapping in pairs, and the line of each that came in while the log was on. */
const made = calls(960, (index) => ({ dueUs: Math.floor(index / 2) * 16_666 + (index % 2) * 2_000 }));
const lines = made.flatMap(({ beginUs }) =>
  beginUs >= 2_100_000 && beginUs < 6_100_000 ? [line(beginUs + 1_000)] : [],
);
const judged = (accesses: readonly Line[], more: Partial<History> = {}, all = made) =>
  judgeCheck(plan, historyOf(plan, all, { accesses, ...more }));

describe("an access log", () => {
  test("that has each call once, while it is on, is right; how fast it is switched doesn't matter within the bound", () => {
    expect(judged(lines)).toMatchObject({ verdict: "pass", trials: 419, falseAlarm: 0 });
    expect(judged(lines.filter(({ beginUs }) => beginUs > 2_490_000 && beginUs < 6_000_000)).verdict).toBe("pass");
  });

  test.each([
    ["a call without a line", lines.toSpliced(200, 1), /^1 of 419 calls aren't in the log$/],
    ["a call with two", [...lines, lines[200]!], /^1 lines are of no call$/],
    ["a line before it was on", [line(1_017_666), ...lines], /^1 lines are of a time when it was off$/],
    ["a line long after it was off", [...lines, line(7_500_700)], /of a time when it was off/],
    ["a line of nobody's call", [...lines, line(4_010_000)], /^1 lines are of no call$/],
    ["a line of another instance", lines.with(200, line(lines[200]!.beginUs, { node: "orders/1" })), /no call/],
    ["a log that never began", [], /^419 of 419 calls aren't in the log$/],
    ["a log that began late", lines.filter(({ beginUs }) => beginUs > 3_000_000), /aren't in the log/],
  ])("is wrong with %s", (_, accesses, message) => {
    const result = judged(accesses);
    expect(result.verdict).toBe("fail");
    expect(result.message).toMatch(message);
  });

  test("owes no line for a call of unknown end, nor for one that nobody served; and may have one", () => {
    const unsure = [
      call({ dueUs: 4_000_000, code: "unknown", node: "storefront/1" }),
      call({ dueUs: 4_100_000, code: "UNAVAILABLE", node: "storefront/1" }),
    ];
    expect(judged(lines, {}, [...made, ...unsure]).verdict).toBe("pass");
    expect(judged([...lines, line(4_001_000), line(4_101_000)], {}, [...made, ...unsure]).verdict).toBe("pass");
    expect(judged([...lines, line(4_001_000), line(4_002_000)], {}, [...made, ...unsure]).verdict).toBe("fail");
  });

  test("owes nothing for what went down with a killed instance, nor does what its callers never told count", () => {
    const gap = (node: string) => ({ type: "gap" as const, node, fromUs: 3_900_000, toUs: 4_100_000 });
    const without = lines.filter(({ beginUs }) => beginUs < 3_905_000 || beginUs > 4_095_000);
    expect(judged(without).verdict).toBe("fail");
    expect(judged(without, { gaps: [gap("orders/0")] }).verdict).toBe("pass");
    expect(judged([...lines, line(4_010_000)], { gaps: [gap("storefront/0")] }).verdict).not.toBe("fail");
  });

  test("of a run that was broken off is judged as far as its callers have told", () => {
    const heard = new Map(plan.nodes.map(({ id }) => [id, id.startsWith("registry/") ? -1 : 8_100_000]));
    const part = (accesses: readonly Line[]) =>
      judgeRun(plan, historyOf(plan, made, { accesses, heard, end: undefined })).checks[0]!.verdict;
    expect(part([...lines, lines[200]!])).toBe("fail");
    expect(part(lines)).toBe("inconclusive");
  });

  test("is inconclusive when nobody called while it was on", () => {
    expect(
      judged(
        [],
        {},
        calls(100, (index) => ({ dueUs: index * 10_000 })),
      ).verdict,
    ).toBe("inconclusive");
  });

  test("of which something is missing on a machine that was late is inconclusive; a line too many is never the machine's", () => {
    const local = planOf([check], { world: "local" });
    const lags = [{ node: "orders/0", atUs: 3_000_000, maxUs: 200_000 }];
    const judgedLate = (accesses: readonly Line[]) =>
      judgeCheck(local, historyOf(local, made, { accesses, lags })).verdict;
    expect(local.checks[0]!.falseAlarm).toBeNull();
    expect(judgedLate(lines.slice(60))).toBe("inconclusive");
    expect(judgedLate([...lines, lines[200]!])).toBe("fail");
    expect(judgedLate(lines)).toBe("pass");
  });
});

describe("the planner refuses", () => {
  test("too few calls, and a log that is off before anybody knows", () => {
    expect(() => planOf([check], { rate: "20/s" })).toThrow(/trials/);
    expect(() => planOf([accessLog("orders").on("2s").off("2s").within("1s").detects("2%")])).toThrow(
      /it is off before/,
    );
  });

  test("callers or instances that report nothing", () => {
    const value = scenario({
      name: "sketch",
      title: { en: "Sketch", zh: "草图" },
      explanation: { en: "For a test.", zh: "用于测试。" },
      fleet: {
        storefront: consumer({ instances: 1, calls: "orders" }),
        orders: provider(),
        stranger: foreign({ role: "consumer", image: "i", calls: "orders" }),
      },
      load: poisson("120/s").on("storefront").for("8s"),
      expect: [check],
    });
    expect(() => planScenario(value, { world: "docker", seed: 1 })).toThrow(/stranger\/0 isn't a program of Flyball's/);
  });
});

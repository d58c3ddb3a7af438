import { describe, expect, test } from "vitest";

import type { History, TaskRecord } from "../history/history.ts";
import { abandonedWork, at, taskFates } from "../scenario/builders.ts";
import { calls, historyOf, judgeCheck, planOf, type PlanSketch } from "./fixtures.ts";

const timeline = [at("4s").kill("orders/1")];
const planned = (check: Parameters<typeof planOf>[0][number], more: PlanSketch = {}) =>
  planOf([check], { tasks: true, timeline, ...more });

/** 800 tasks of 5 ms at orders/0; what is said of one replaces the usual. */
const tasks = (make: (index: number, beginUs: number) => Partial<TaskRecord> = () => ({})): TaskRecord[] =>
  Array.from({ length: 800 }, (_, index) => {
    const beginUs = index * 10_000;
    const usual = { node: "orders/0", task: index + 1, beginUs, deadlineUs: beginUs + 100_000, endUs: beginUs + 5_000 };
    return { ...usual, state: "answered" as const, ...make(index, beginUs) };
  });

describe("abandoned work", () => {
  const plan = planned(abandonedWork("orders").within("50ms").detects("5%"));
  const judged = (all: readonly TaskRecord[], more: Partial<History> = {}) =>
    judgeCheck(plan, historyOf(plan, calls(960), { tasks: all, ...more }));
  /** Every fourth caller leaves after 2 ms; its task ends so much later. */
  const leaving = (afterUs: (index: number) => number) =>
    tasks((index, beginUs) => {
      if (index % 4 > 0) return {};
      const goneUs = beginUs + 2_000;
      return { state: "given-up", goneUs, endUs: goneUs + afterUs(index) };
    });

  test("counts the tasks that nobody waits for, and those of them that go on for too long", () => {
    expect(judged(leaving(() => 50_000))).toMatchObject({ verdict: "pass", observed: "0 of 200", falseAlarm: 0 });
    expect(judged(leaving((index) => (index === 400 ? 50_001 : 0)))).toMatchObject({
      verdict: "fail",
      observed: "1 of 200, up to 50 ms",
      brokenAtMs: 4_002,
    });
  });

  test("a deadline counts from when it passes, whenever the server noticed", () => {
    const late = tasks((index, beginUs) =>
      index % 4 > 0 ? {} : { state: "out-of-time", goneUs: beginUs + 190_000, endUs: beginUs + 190_000 },
    );
    expect(judged(late).verdict).toBe("fail");
  });

  test("work that begins after its deadline is too late, however short", () => {
    const late = tasks((index, beginUs) =>
      index % 4 > 0
        ? {}
        : { state: "out-of-time", goneUs: beginUs + 100_000, workUs: beginUs + 100_001, endUs: beginUs + 100_002 },
    );
    expect(judged(late).verdict).toBe("fail");
  });

  test("one that never ends goes on to this day, unless its node died with it", () => {
    const open = (node: string) => [
      ...leaving(() => 0),
      { node, task: 1, beginUs: 3_900_000, deadlineUs: 4_000_000, endUs: undefined, state: "lost" as const },
    ];
    expect(judged(open("orders/0")).verdict).toBe("fail");
    expect(judged(open("orders/1")).verdict).toBe("pass");
  });

  test("is inconclusive when hardly anybody left", () => {
    expect(judged(tasks())).toMatchObject({ verdict: "inconclusive", observed: "nothing" });
    expect(judged(leaving(() => 0).slice(0, 80)).verdict).toBe("inconclusive");
  });

  test("in real time a machine that is late by a quarter of the bound excuses it", () => {
    const local = planned(abandonedWork("orders").within("50ms").detects("5%"), { world: "local" });
    const late = (maxUs: number) =>
      judgeCheck(
        local,
        historyOf(local, calls(960), {
          tasks: leaving(() => 60_000),
          lags: [{ node: "orders/0", atUs: 2_000_000, maxUs }],
        }),
      );
    expect(late(12_500)).toMatchObject({ verdict: "fail", falseAlarm: null });
    expect(late(12_501).verdict).toBe("inconclusive");
  });
});

describe("task fates", () => {
  const plan = planned(taskFates("orders").only("answered", "lost").detects("2%"));
  const judged = (all: readonly TaskRecord[]) => judgeCheck(plan, historyOf(plan, calls(960), { tasks: all }));

  test("one that ends in another way is a defect", () => {
    expect(judged(tasks())).toMatchObject({ verdict: "pass", trials: 800, falseAlarm: 0 });
    expect(judged(tasks((index) => (index === 7 ? { state: "given-up" } : {})))).toMatchObject({
      verdict: "fail",
      observed: "1 of 800 otherwise",
      message: "of 800 tasks of orders 799 were answered, 1 were given-up",
      brokenAtMs: 70,
    });
  });

  test("what was refused counts by when it was refused", () => {
    const refused = { node: "orders/0", task: 900, endUs: 5_000_000, state: "refused" as const };
    expect(judged([...tasks(), refused]).verdict).toBe("fail");
    expect(judged([...tasks(), { ...refused, endUs: 9_000_000 }]).verdict).toBe("pass");
  });

  test("other services' tasks, and those that the run's end cut off, say nothing", () => {
    const only = planned(taskFates("orders").only("answered").detects("2%"));
    const of = (more: Partial<TaskRecord>) =>
      judgeCheck(
        only,
        historyOf(only, calls(960), {
          tasks: [...tasks(), { ...tasks()[0]!, endUs: undefined, state: "lost", ...more }],
        }),
      ).verdict;
    expect(of({ node: "payments/0" })).toBe("pass");
    expect(of({ beginUs: 8_500_000 - 1_000_000 + 900_000 })).toBe("pass");
    expect(of({ beginUs: 3_000_000 })).toBe("fail");
    // Its node was killed: that is an end.
    expect(of({ node: "orders/1", beginUs: 3_900_000 })).toBe("fail");
  });

  test("is inconclusive without a task", () => {
    expect(judged([]).verdict).toBe("inconclusive");
  });
});

test("the plan refuses checks of tasks that nobody records", () => {
  const checks = [
    abandonedWork("orders").within("50ms").detects("5%"),
    taskFates("orders").only("answered").detects("2%"),
  ];
  for (const check of checks) expect(() => planned(check, { tasks: false })).toThrow(/doesn't record tasks/);
});

import { describe, expect, test } from "vitest";

import type { History } from "../history/history.ts";
import { at, atomicity, latency, noDeadCalls, nothingLeft, recovery, successRate } from "../scenario/builders.ts";
import type { Plan } from "../scenario/plan.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { call, calls, historyOf, planOf } from "./fixtures.ts";
import { judgeRun } from "./judge.ts";
import { lagIn } from "./outcome.ts";
import { summarise } from "./summary.ts";

const timeline = [at("1s").kill("orders/1", { for: "5s" })];
const expectations = [
  successRate("orders").atLeast("99%").detects("93%"),
  latency("orders").p90("100ms").detects("32%"),
  noDeadCalls("orders").within("2s").detects("1s"),
];
const sim = planOf(expectations, { timeline });
const local = planOf(expectations, { timeline, world: "local" });
const verdicts = (plan: Plan, history: History) => {
  const { checks, verdict, reason } = judgeRun(plan, history);
  return { checks: checks.map((check) => check.verdict), verdict, reason };
};
/** As many calls as were planned. */
const wellDone = (plan: Plan, make?: Parameters<typeof calls>[1]) => calls(plan.drives[0]!.dueUs.length, make);
const failing = (index: number) => (index % 5 === 0 ? ({ code: "UNAVAILABLE" } as const) : {});

describe("a run as it was planned", () => {
  test("is as bad as its worst check", () => {
    expect(verdicts(sim, historyOf(sim, wellDone(sim)))).toEqual({
      checks: ["pass", "pass", "pass"],
      verdict: "pass",
      reason: undefined,
    });
    expect(verdicts(sim, historyOf(sim, wellDone(sim, failing)))).toMatchObject({
      checks: ["fail", "fail", "pass"],
      verdict: "fail",
    });
    expect(verdicts(sim, historyOf(sim, wellDone(sim), { steps: [] }))).toMatchObject({
      checks: ["pass", "pass", "inconclusive"],
      verdict: "inconclusive",
    });
  });
});

describe("a load that fell behind", () => {
  test("by more than 2 % leaves nothing proven but what was broken all the same", () => {
    const made = wellDone(local).slice(20);
    expect(verdicts(local, historyOf(local, made))).toEqual({
      checks: ["inconclusive", "inconclusive", "inconclusive"],
      verdict: "inconclusive",
      reason: expect.stringMatching(
        /^the load generator fell behind: 9\d\.\d% of the planned calls were made$/,
      ) as string,
    });
    expect(verdicts(local, historyOf(local, wellDone(local, failing).slice(20)))).toMatchObject({
      checks: ["fail", "inconclusive", "inconclusive"],
      verdict: "fail",
    });
    expect(verdicts(local, historyOf(local, wellDone(local).slice(10))).verdict).toBe("pass");
  });

  test("with more than 1 % of its calls over 50 ms late counts as behind, too", () => {
    const late = (share: number, lateUs: number) =>
      verdicts(
        local,
        historyOf(
          local,
          wellDone(local, (index) => (index % share === 0 ? { lateUs, tookUs: 60_000 } : {})),
        ),
      );
    expect(late(50, 50_001)).toMatchObject({
      verdict: "inconclusive",
      reason: expect.stringContaining("50 ms late") as string,
    });
    expect(late(50, 50_000).verdict).toBe("pass");
    expect(late(200, 50_001).verdict).toBe("pass");
  });

  test("by more than a tenth speaks of a machine that had no time for the fleet either: only what must never happen counts", () => {
    const missing = (plan: Plan, calls: number) =>
      verdicts(plan, historyOf(plan, wellDone(plan, failing).slice(calls)));
    const planned = local.drives[0]!.dueUs.length;
    const checksOf = (plan: Plan, share: number) => missing(plan, Math.round(share * planned)).checks;
    expect(checksOf(local, 0.09)).toEqual(["fail", "inconclusive", "inconclusive"]);
    expect(checksOf(local, 0.11)).toEqual(["inconclusive", "inconclusive", "inconclusive"]);
    expect(checksOf(sim, 0.11)[0]).toBe("fail");
    const late = (share: number) =>
      wellDone(local, (index) => ({
        ...failing(index),
        ...(index % share === 0 && { lateUs: 60_000, tookUs: 70_000 }),
      }));
    expect(verdicts(local, historyOf(local, late(12))).checks[0]).toBe("fail");
    expect(verdicts(local, historyOf(local, late(8))).checks[0]).toBe("inconclusive");
  });

  test("is measured by what it was to do: calls to the infrastructure don't make up for it", () => {
    const made = [...wellDone(local).slice(100), ...calls(100, () => ({ service: "registry" }))];
    expect(verdicts(local, historyOf(local, made)).verdict).toBe("inconclusive");
  });

  test("leaves a doubt in virtual time, too, and whoever is to blame for the calls that nobody made", () => {
    expect(verdicts(sim, historyOf(sim, wellDone(sim).slice(100))).verdict).toBe("inconclusive");
  });

  test("but a consumer that a fault held up need not be punctual", () => {
    const expected = [successRate("orders").atLeast("99%").detects("93%")];
    const hurt = planOf(expected, { world: "local", timeline: [at("1s").pause("storefront/0", { for: "1s" })] });
    const late = wellDone(hurt, (index) => (index % 8 === 0 ? { lateUs: 500_000, tookUs: 600_000 } : {}));
    expect(verdicts(hurt, historyOf(hurt, late)).verdict).toBe("pass");
    expect(verdicts(hurt, historyOf(hurt, wellDone(hurt).slice(100))).verdict).toBe("inconclusive");
  });
});

describe("a part of a run", () => {
  const ended = (outcome: "interrupted" | "error", atUs = 4_000_000) =>
    ({ end: { type: "end", atUs, outcome, ...(outcome === "error" && { error: "a node died" }) } }) as const;

  test("proves nothing well, and nothing too bad: its bounds are meant for the whole", () => {
    const half = (make?: Parameters<typeof calls>[1]) => wellDone(sim, make).filter(({ dueUs }) => dueUs < 4_000_000);
    for (const made of [half(), half(failing)]) {
      expect(verdicts(sim, historyOf(sim, made, ended("interrupted")))).toEqual({
        checks: ["inconclusive", "inconclusive", "inconclusive"],
        verdict: "inconclusive",
        reason: "the run was interrupted",
      });
    }
  });

  test("shows what must never happen", () => {
    const made = wellDone(sim, (index) => (index === 450 ? { to: "orders/1" } : {}));
    expect(verdicts(sim, historyOf(sim, made, ended("interrupted"))).checks).toEqual([
      "inconclusive",
      "inconclusive",
      "fail",
    ]);
  });

  test("isn't blamed for calls that its own end cut off", () => {
    const graceful = planOf([noDeadCalls("orders").within("2s").detects("1s")], { timeline });
    const made = [...calls(10), call({ dueUs: 3_990_000, to: "orders/1", code: "CANCELLED", tookUs: 20_000 })];
    expect(verdicts(graceful, historyOf(graceful, made, ended("interrupted"))).checks).toEqual(["inconclusive"]);
  });

  test("isn't blamed for a bank's transactions that were under way at its end, or whose records nobody has sent yet", () => {
    const bank = bankPlan([atomicity("order").detects("20%"), nothingLeft("order").detects("20%")], {
      of: { mode: "at" },
    });
    const judged = (act: (books: Books) => void, made: History["calls"] = []) => {
      const books = new Books(bank).orders(40);
      act(books);
      return verdicts(bank, historyOf(bank, made, { transactions: books.changes, end: undefined })).checks;
    };
    const pay = (books: Books, xid: string, atUs: number): void => {
      books.report("order/0", atUs - 1, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
      books.move(xid, "account/0", { free: -10, frozen: 0, used: 10 }, atUs);
    };
    const inconclusive = ["inconclusive", "inconclusive"];
    // The piece is yet to be taken, although stock has told of others since.
    const underWay = (books: Books): void => {
      pay(books, "tc:1:open", 1_590_000);
      books.order("commit");
    };
    expect(judged(underWay)).toEqual(inconclusive);
    // It was taken, and stock hasn't said so.
    const untold = (books: Books): void => {
      pay(books, "tc:1:untold", 1_700_000);
      books.tell("tc:1:untold", "commit", 1_710_000);
    };
    expect(judged(untold)).toEqual(inconclusive);
    const answered = (dueUs: number) =>
      call({ dueUs, tookUs: 8_000, service: "order", node: "buyer/0", to: "order/0" });
    const each = Array.from({ length: 40 }, (_, index) => answered(index * 40_000));
    expect(judged(() => undefined, [...each, answered(1_700_000)])).toEqual(inconclusive);
    expect(judged(() => undefined, [...each, answered(40_000)])).toEqual(["fail", "inconclusive"]);
    // And so are those for whom a buyer hasn't told of a call.
    expect(judged(() => undefined, each.slice(0, 38))).toEqual(inconclusive);
    // Of what it has told of, it is told that somebody bought twice.
    expect(judged(() => undefined, each.toSpliced(10, 1))).toEqual(["fail", "inconclusive"]);
    // What is left has had no time to go.
    expect(
      judged((books) => {
        books.leave("account/0", { kind: "undo", xid: "tc:1:39", branchId: "1" });
        books.audit(5_100_000);
      }),
    ).toEqual(inconclusive);
    // What is over is judged.
    const half = (books: Books): void => {
      pay(books, "tc:1:half", 1_500_000);
      books.tell("tc:1:half", "commit", 1_510_000);
    };
    expect(judged(half)).toEqual(["fail", "inconclusive"]);
  });

  test("that ended with an error says so, and one that was cut off as well", () => {
    expect(verdicts(sim, historyOf(sim, wellDone(sim), ended("error")))).toMatchObject({
      verdict: "error",
      reason: "a node died",
    });
    expect(verdicts(sim, historyOf(sim, wellDone(sim), { end: undefined }))).toMatchObject({
      verdict: "inconclusive",
      reason: "the history was cut off",
    });
  });
});

describe("lag", () => {
  const paused = planOf([recovery("orders").after("3s").within("1s").detects("1s")], {
    world: "local",
    timeline: [at("1s").pause("orders/1", { for: "2s" })],
  });
  const lag = (node: string, atUs: number) =>
    lagIn(historyOf(paused, [], { lags: [{ node, atUs, maxUs: 2_000_000 }] }), { fromUs: 0, toUs: 8_000_000 });

  test("of a node that a fault froze is no lag of the machine", () => {
    expect(lag("orders/1", 3_050_000)).toBe(0);
    expect(lag("orders/1", 4_200_000)).toBe(2_000_000);
    expect(lag("orders/0", 3_050_000)).toBe(2_000_000);
    expect(lag("harness", 3_050_000)).toBe(2_000_000);
  });
});

describe("a machine that stood still while attempts ran out of time", () => {
  const timedOut = { code: "DEADLINE_EXCEEDED", tookUs: 200_000 } as const;
  const made = wellDone(local, (index) => (index % 5 === 0 ? timedOut : {}));
  const judged = (maxUs: number, atUs = 1_000_000, node = "orders/0", of = made, plan = local) =>
    judgeRun(plan, historyOf(plan, of, { lags: [{ node, atUs, maxUs }] })).checks[0]!;

  test("leaves what counts failures open, and says so", () => {
    expect(judged(100_001)).toMatchObject({
      verdict: "inconclusive",
      message: expect.stringMatching(/; but the machine stood still for up to 100 ms while \d+ attempts/) as string,
    });
    expect(judged(100_000).verdict).toBe("fail");
  });

  test("is no excuse for other failures, for those of another time, or in a simulator", () => {
    expect(judged(900_000, 1_000_000, "orders/0", wellDone(local, failing)).verdict).toBe("fail");
    expect(judged(900_000, 60_000_000).verdict).toBe("fail");
    expect(judged(900_000, 1_000_000, "orders/0", made, sim).verdict).toBe("fail");
  });

  test("is none either where a fault kept the node from being punctual", () => {
    for (const step of [
      at("500ms").pause("orders/2", { for: "2s" }),
      at("500ms").eventLoopBlock("orders/2", { block: "500ms", for: "2s" }),
      at("500ms").slowCpu("orders/2", { share: 0.2, for: "2s" }),
    ]) {
      const plan = planOf(expectations.slice(0, 1), { timeline: [step], world: "local" });
      expect(judged(900_000, 1_000_000, "orders/2", made, plan).verdict).toBe("fail");
      expect(judged(900_000, 1_000_000, "orders/0", made, plan).verdict).toBe("inconclusive");
    }
  });
});

describe("the summary", () => {
  test("counts the load's calls and everybody's attempts", () => {
    const made = [
      call({ dueUs: -5, code: "UNAVAILABLE" }),
      call({ dueUs: 0, service: "registry" }),
      call({ dueUs: 0, tookUs: 10_000 }),
      call({ dueUs: 1, tookUs: 30_000, before: ["orders/1"], to: "orders/2" }),
      call({ dueUs: 2, tookUs: 20_000, code: "DEADLINE_EXCEEDED" }),
      call({ dueUs: 3, code: "unknown" }),
    ];
    expect(summarise(historyOf(sim, made))).toEqual({
      calls: { total: 4, ok: 2, failed: 1, attempts: 4 },
      offeredPerSecond: 0.5,
      latencyMs: { p50: 20, p90: 30, p99: 30, max: 30 },
      instances: {
        "orders/0": { calls: 2, ok: 1, failed: 1 },
        "orders/1": { calls: 1, ok: 0, failed: 1 },
        "orders/2": { calls: 1, ok: 1, failed: 0 },
        "orders/3": { calls: 0, ok: 0, failed: 0 },
      },
    });
  });

  test("an attempt that its call didn't wait for is neither good nor bad", () => {
    const hedged = call({ dueUs: 0 });
    hedged.attempts = [{ instance: "orders/3", beginUs: 0, endUs: -1, code: "OK" }, ...hedged.attempts];
    expect(summarise(historyOf(sim, [hedged])).instances["orders/3"]).toEqual({ calls: 1, ok: 0, failed: 0 });
  });
});

import { describe, expect, test } from "vitest";

import type { CallRecord } from "../history/history.ts";
import { atomicity } from "../scenario/builders.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { call, judgeCheck, type CallSketch } from "./fixtures.ts";

const plan = bankPlan([atomicity("order").detects("20%"), atomicity("order").ofBothEnds().detects("20%")]);
const books = (): Books => new Books(plan);

test("orders that are done whole or not at all pass", () => {
  const history = books().orders(30).orders(20, "rollback").history();
  for (const index of [0, 1]) {
    expect(judgeCheck(plan, history, index)).toMatchObject({
      verdict: "pass",
      observed: "0 of 50",
      message: "50 transactions, 30 done and 20 not",
    });
  }
});

test("where both ends were to be seen, one alone tells nothing", () => {
  const history = books().orders(50).history();
  expect(judgeCheck(plan, history, 0).verdict).toBe("pass");
  expect(judgeCheck(plan, history, 1)).toMatchObject({
    verdict: "inconclusive",
    message: "50 transactions, 50 done and 0 not: both ends were to be seen",
  });
});

test("where an accident was to be shown, a run without one tells nothing, and with one says how many", () => {
  const shown = bankPlan([atomicity("order").shows("retried-rollback").detects("20%")]);
  const own = (): Books => new Books(shown).orders(30).orders(20, "rollback");
  expect(judgeCheck(shown, own().history())).toMatchObject({
    verdict: "inconclusive",
    message: "50 transactions, 30 done and 20 not; 0 × rollback whose answer got lost: one at least was to be seen",
  });
  const books = own();
  books.report("order/0", 1_000_000, { what: "retry", xid: "tc:1:40", decision: "rollback" });
  expect(judgeCheck(shown, books.history())).toMatchObject({
    verdict: "pass",
    message: "50 transactions, 30 done and 20 not; 1 × rollback whose answer got lost",
  });
});

test("late commits are shown by branches that are committed late", () => {
  const planned = (commitTime?: string) => () =>
    bankPlan([atomicity("order").shows("late-commit").detects("20%")], {
      of: { mode: "at", account: { ...(commitTime !== undefined && { commitTime }) } },
    });
  expect(planned()).toThrow("no branch is committed late");
  expect(planned("20ms")).not.toThrow();
});

describe("it finds an order", () => {
  const broken = (act: (own: Books, xid: string, atUs: number) => void) => {
    const own = books().orders(40);
    const xid = "tc:1:broken";
    own.reserve(xid, "account/0", 4_000_000);
    own.reserve(xid, "stock/0", 4_000_000);
    act(own, xid, 4_100_000);
    return judgeCheck(plan, own.history());
  };

  test("that is confirmed at one and cancelled at the other", () => {
    const result = broken((own, xid, atUs) => {
      own.finish(xid, "account/0", "commit", atUs);
      own.finish(xid, "stock/0", "rollback", atUs);
    });
    expect(result).toMatchObject({
      verdict: "fail",
      observed: "1 of 41",
      message: "tc:1:broken paid 10 and took 0",
      brokenAtMs: 4_100,
    });
  });

  test("that is confirmed twice", () => {
    const result = broken((own, xid, atUs) => {
      for (const node of ["account/0", "stock/0"]) own.finish(xid, node, "commit", atUs);
      for (const node of ["account/0", "stock/0"]) own.reserve(xid, node, atUs);
      for (const node of ["account/0", "stock/0"]) own.finish(xid, node, "commit", atUs);
    });
    expect(result).toMatchObject({ verdict: "fail", message: "tc:1:broken paid 20 and took 2" });
  });

  test("that gives back to others what it has taken, though it is as much", () => {
    const result = broken((own, xid, atUs) => {
      for (const node of ["account/0", "stock/0"]) {
        own.finish(xid, node, "commit", atUs);
        const by = node === "account/0" ? 10 : 1;
        const other = { item: "u1", free: 1000 + by, frozen: 0, used: -by, version: 99 } as const;
        own.report(node, atUs, { what: "holding", xid, resource: "reserve", ...other });
      }
    });
    expect(result).toMatchObject({
      verdict: "fail",
      observed: "1 of 41",
      message:
        "tc:1:broken used 10 of u0 of account/0, -10 of u1 of account/0, 1 of u0 of stock/0, -1 of u1 of stock/0",
    });
  });

  test("whose manager was told of its end before it was so, or of another one", () => {
    const early = broken((own, xid, atUs) => {
      own.tell(xid, "commit", atUs - 1);
      for (const node of ["account/0", "stock/0"]) own.finish(xid, node, "commit", atUs);
    });
    expect(early).toMatchObject({
      verdict: "fail",
      message: "tc:1:broken had paid 0 and taken 0 when Committed was told",
      brokenAtMs: 4_100,
    });
    const wrong = broken((own, xid, atUs) => {
      for (const node of ["account/0", "stock/0"]) own.finish(xid, node, "commit", atUs);
      own.tell(xid, "rollback", atUs);
    });
    expect(wrong.message).toBe("tc:1:broken had paid 10 and taken 1 when Rollbacked was told");
  });
});

test("an order that is still under way is no half", () => {
  const own = books().orders(40);
  own.reserve("tc:1:open", "account/0", 4_000_000);
  own.finish("tc:1:open", "account/0", "commit", 4_100_000);
  own.reserve("tc:1:open", "stock/0", 4_000_000);
  expect(judgeCheck(plan, own.history())).toMatchObject({ verdict: "pass", trials: 40 });
});

test("what a killed node kept to itself isn't held against an order, but the sums are", () => {
  const half = (isMended: boolean) => {
    const own = books().orders(40);
    own.reserve("tc:1:gap", "account/0", 4_000_000);
    own.finish("tc:1:gap", "account/0", "commit", 4_100_000);
    // It was taken: the node was killed before it could say so.
    if (isMended) own.tamper("stock/0", { free: -1, frozen: 0, used: 1 });
    const gaps = [{ type: "gap" as const, node: "stock/0", fromUs: 4_050_000, toUs: 4_150_000 }];
    return judgeCheck(plan, own.history({ gaps }));
  };
  expect(half(true)).toMatchObject({ verdict: "pass", trials: 40 });
  expect(half(false)).toMatchObject({ verdict: "fail", observed: "410 was paid for 40 pieces at 10" });
});

test("a commit without an answer isn't held against an order until somebody has found out, but the sums are", () => {
  const half = (state: "open" | "undone", isMended = true) => {
    const own = books().orders(40);
    own.reserve("tc:1:lost", "account/0", 4_000_000);
    own.finish("tc:1:lost", "account/0", "commit", 4_100_000);
    const doubt = { xid: "tc:1:lost", resource: "stock.reserve", item: "u1", version: 77 } as const;
    own.report("stock/0", 4_100_000, { what: "doubt", ...doubt, state: "open" });
    if (state !== "open") own.report("stock/0", 4_200_000, { what: "doubt", ...doubt, state });
    if (isMended) own.tamper("stock/0", { free: -1, frozen: 0, used: 1 });
    return judgeCheck(plan, own.history());
  };
  expect(half("open")).toMatchObject({ verdict: "pass", trials: 40 });
  expect(half("open", false)).toMatchObject({ verdict: "fail", observed: "410 was paid for 40 pieces at 10" });
  expect(half("undone")).toMatchObject({ verdict: "fail", message: "tc:1:lost paid 10 and took 0" });
});

test("what another bank of the fleet does is no half of this one's", () => {
  const own = books().orders(40);
  const xid = "tc:1:other";
  own.report("order2/0", 4_000_000, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
  own.report("order2/0", 4_100_000, { what: "end", xid, decision: "commit", status: "Committed" });
  expect(judgeCheck(plan, own.history())).toMatchObject({ verdict: "pass", trials: 40 });
});

test("few transactions, or none, tell nothing", () => {
  expect(judgeCheck(plan, books().orders(5).history()).verdict).toBe("inconclusive");
  expect(judgeCheck(plan, books().history())).toMatchObject({ verdict: "inconclusive", trials: 0 });
});

test("what is read while a confirm is being written down isn't counted twice, nor in its place", () => {
  const own = books().orders(40);
  own.reserve("tc:1:late", "account/0", 4_000_000);
  own.reserve("tc:1:late", "stock/0", 4_000_000);
  for (const node of ["account/0", "stock/0"]) {
    own.finish("tc:1:late", node, "commit", 5_200_000);
    // Read before it was told of.
    const told = own.changes.splice(-2);
    own.audit(5_100_000, [node]);
    own.changes.push(...told);
  }
  expect(judgeCheck(plan, own.history())).toMatchObject({ verdict: "pass", trials: 41 });
});

describe("no call has two transactions that were committed:", () => {
  const buying = (index: number, more: Partial<CallSketch> = {}): CallRecord =>
    call({ dueUs: index * 40_000, tookUs: 8_000, service: "order", node: "buyer/0", to: "order/0", ...more });
  const judged = (calls: CallRecord[], more: Parameters<Books["history"]>[0] = {}, own = books(), count = 40) =>
    judgeCheck(plan, own.orders(count).history({ calls, ...more }));
  const others = Array.from({ length: 39 }, (_, index) => buying(index));

  test("the second is found, and when", () => {
    // The first of forty orders has a call of its own, and the last hasn't, though its buyer has called before and heard OK.
    expect(judged(others)).toMatchObject({
      verdict: "fail",
      observed: "1 of 40",
      message: "order/0 committed tc:1:39, and each call that it got has another one, or was told that nothing is done",
      brokenAtMs: 1_561,
    });
    expect(judged([...others, buying(38)])).toMatchObject({ verdict: "fail" });
    for (const code of ["ABORTED", "FAILED_PRECONDITION"] as const)
      expect(judged([...others, buying(39, { code })])).toMatchObject({ verdict: "fail" });
    expect(judged([...others, buying(39, { lateUs: 2_000 })])).toMatchObject({ verdict: "fail" });
    expect(judged([...others, buying(39, { to: "order/1", code: "UNAVAILABLE" })])).toMatchObject({ verdict: "fail" });
  });

  test("what is left of a refused call is told as what it is: a half, once, and nothing where it is yet to be taken back", () => {
    const [own, xid] = [books().orders(1), "tc:1:refused"];
    const calls = [...others, buying(39), buying(41, { code: "ABORTED" })];
    own.report("order/0", 1_641_000, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
    own.move(xid, "account/0", { free: -10, frozen: 0, used: 10 }, 1_642_000);
    own.tell(xid, "rollback", 1_645_000, "RollbackRetrying");
    expect(judged(calls, {}, own, 39)).toMatchObject({
      verdict: "fail",
      observed: "1 of 41",
      message: `${xid} paid 10 and took 0`,
    });
    const open = books().orders(1);
    open.report("order/0", 1_641_000, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
    open.move(xid, "account/0", { free: -10, frozen: 0, used: 10 }, 1_642_000);
    open.move(xid, "stock/0", { free: -1, frozen: 0, used: 1 }, 1_643_000);
    open.tell(xid, "rollback", 1_645_000, "RollbackRetrying");
    open.found(xid, "RollbackRetrying");
    expect(judged(calls, {}, open, 39)).toMatchObject({ verdict: "pass", observed: "0 of 41" });
  });

  test("each attempt may have one of its own, whatever became of it, as long as it is under way or was given up", () => {
    expect(judged([...others, buying(39)])).toMatchObject({ verdict: "pass" });
    expect(judged([...others, buying(10, { code: "DEADLINE_EXCEEDED" })])).toMatchObject({ verdict: "pass" });
    expect(judged(others.with(10, buying(10, { before: ["order/0"] })))).toMatchObject({ verdict: "pass" });
  });

  test("whoever may have called without a word of it isn't forgotten: who was killed, whose call has no end, and who isn't ours", () => {
    const gaps = [{ type: "gap" as const, node: "buyer/0", fromUs: 1_500_000, toUs: 1_600_000 }];
    expect(judged(others, { gaps })).toMatchObject({ verdict: "pass" });
    expect(judged([...others, buying(30, { code: "unknown" })])).toMatchObject({ verdict: "pass" });
    const history = books().orders(40).history({ calls: others });
    const foreign = plan.checks.map(({ callers: _callers, ...check }) => check);
    expect(judgeCheck({ ...plan, checks: foreign }, history)).toMatchObject({ verdict: "pass" });
  });
});

describe("whoever was answered OK has a transaction of its own that was committed:", () => {
  /** The buyer's call that the books' order `index` is about: that one takes from 1 to 6 ms of every 40. */
  const buying = (index: number, more: Partial<CallSketch> = {}): CallRecord =>
    call({ dueUs: index * 40_000, tookUs: 8_000, service: "order", node: "buyer/0", to: "order/0", ...more });
  const buyings = (count: number): CallRecord[] => Array.from({ length: count }, (_, index) => buying(index));
  const judged = (own: Books, calls: CallRecord[], more: Parameters<Books["history"]>[0] = {}) =>
    judgeCheck(plan, own.history({ calls, ...more }));

  test("those who were told what is so pass, whatever else became of other calls", () => {
    const own = books().orders(30).orders(20, "rollback");
    const others = Array.from({ length: 20 }, (_, index) => buying(30 + index, { code: "ABORTED" }));
    expect(judged(own, [...buyings(30), ...others])).toMatchObject({ verdict: "pass", observed: "0 of 50" });
    // Its call was over before it was.
    const abandoned = { instance: "order/0", beginUs: 1_700_000, endUs: -1, code: "OK" } as const;
    others[10] = { ...others[10]!, attempts: [abandoned, ...others[10]!.attempts] };
    expect(judged(own, [...buyings(30), ...others])).toMatchObject({ verdict: "pass" });
    // Nobody heard of these ends, and one was tried twice.
    const unheard = [28, 29].map((index) => buying(index, { code: index === 28 ? "DEADLINE_EXCEEDED" : "unknown" }));
    const retried = buying(27, { before: ["order/0"] });
    expect(judged(own, [...buyings(27), retried, ...unheard, ...others])).toMatchObject({ verdict: "pass" });
  });

  test("one that came to nothing is found, and when", () => {
    const own = books().orders(40).orders(1, "rollback");
    expect(judged(own, buyings(41))).toMatchObject({
      verdict: "fail",
      observed: "1 of 41",
      message: "order/0 answered OK to call 1600000 of buyer/0, and no transaction was committed for it",
      brokenAtMs: 1_608,
    });
  });

  test("none at all was begun for it, not even for any", () => {
    expect(judged(books().orders(40), buyings(41))).toMatchObject({ verdict: "fail", brokenAtMs: 1_608 });
    expect(judged(books(), buyings(3))).toMatchObject({
      verdict: "fail",
      observed: "3 answered OK, and no transaction",
      trials: 0,
    });
  });

  test("one transaction is no two answers', and one of another instance, or of another time, is nobody's", () => {
    const own = books().orders(40);
    expect(judged(own, [...buyings(40), buying(7)])).toMatchObject({ verdict: "fail", observed: "1 of 40" });
    expect(judged(own, buyings(40).with(7, buying(7, { to: "order/1" })))).toMatchObject({ verdict: "fail" });
    expect(judged(own, buyings(40).with(7, buying(7, { tookUs: 5_000 })))).toMatchObject({ verdict: "fail" });
    expect(judged(own, buyings(40).with(7, buying(7, { lateUs: 2_000 })))).toMatchObject({ verdict: "fail" });
  });

  test("whose is whose is seen where calls overlap", () => {
    const own = books().orders(40);
    const long = buying(6, { tookUs: 200_000 });
    const inside = [7, 8, 9, 10].map((index) => buying(index));
    const others = buyings(40).toSpliced(6, 5);
    expect(judged(own, [long, ...inside, ...others])).toMatchObject({ verdict: "pass" });
    // Five transactions have room in its time, and none of them is left for a second one.
    const second = buying(6, { lateUs: 2_000, tookUs: 200_000 });
    expect(judged(own, [long, ...inside, ...others, second])).toMatchObject({ verdict: "fail", observed: "1 of 40" });
  });

  test("one that is under way, or in doubt, or whose instance was killed, isn't held against it", () => {
    const open = books().orders(40);
    const xid = open.order("rollback", (own, atUs) => {
      const doubt = { xid: own, resource: "stock.reserve", item: "u1", version: 77, state: "open" } as const;
      open.report("stock/0", atUs, { what: "doubt", ...doubt });
    });
    expect(judged(open, buyings(41))).toMatchObject({ verdict: "pass", trials: 40 });
    const unended = books().orders(40).orders(1, "rollback");
    unended.found(xid, "CommitRetrying");
    expect(judged(unended, buyings(41))).toMatchObject({ verdict: "pass" });
    const gaps = [{ type: "gap" as const, node: "order/0", fromUs: 1_605_000, toUs: 1_700_000 }];
    expect(judged(books().orders(40), buyings(41), { gaps })).toMatchObject({ verdict: "pass" });
    expect(judged(books().orders(40), buyings(42), { gaps })).toMatchObject({ verdict: "pass" });
    expect(judged(books().orders(40), buyings(44), { gaps })).toMatchObject({ verdict: "fail", brokenAtMs: 1_728 });
  });
});

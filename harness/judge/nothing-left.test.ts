import { describe, expect, test } from "vitest";

import { nothingLeft } from "../scenario/builders.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { judgeCheck } from "./fixtures.ts";

const plan = bankPlan([nothingLeft("order").detects("20%")]);
const books = (): Books => new Books(plan);
const judged = (own: Books) => judgeCheck(plan, own.history());

test("a bank that is quiet in the end has nothing left, and in real time that is a matter of time", () => {
  expect(judged(books().orders(40))).toMatchObject({ verdict: "pass", observed: "0 of 40", falseAlarm: 0 });
  expect(bankPlan([nothingLeft("order").detects("20%")], { world: "local" }).checks[0]).toMatchObject({
    falseAlarm: null,
    phase: "recovery",
  });
});

describe("it finds", () => {
  test("a transaction that is open, or that needs a person", () => {
    const open = books().orders(40);
    open.found(open.order("commit"), "CommitRetrying");
    expect(judged(open)).toMatchObject({ verdict: "fail", observed: "1 of 41", message: "tc:1:40 is CommitRetrying" });
    const manual = books().orders(40);
    manual.found(manual.order("rollback"), "RollbackFailed");
    expect(judged(manual)).toMatchObject({ verdict: "fail", message: "tc:1:40 is RollbackFailed" });
  });

  test.each([
    ["coordinator/0", "transaction", "coordinator/0 has a transaction of tc:1:0"],
    ["coordinator/0", "lock", "coordinator/0 has a lock of tc:1:0"],
    ["account/0", "branch", "account/0 has an unfinished branch of tc:1:0"],
    ["stock/0", "undo", "stock/0 has an undo log of tc:1:0"],
  ] as const)("what %s has left: a %s", (node, kind, message) => {
    const own = books().orders(40);
    own.leave(node, { kind, xid: "tc:1:0" });
    expect(judged(own)).toMatchObject({ verdict: "fail", observed: "1 of 40", message });
  });

  test("what is set aside for nobody", () => {
    const own = books().orders(40);
    own.tamper("account/0", { free: -3, frozen: 3, used: 0 });
    expect(judged(own)).toMatchObject({ verdict: "fail", message: "u1 of account/0 has 3 set aside" });
  });
});

test("nobody has to ask for what the coordinator has said to be over", () => {
  const own = books().orders(40);
  const xid = "tc:1:untold";
  own.report("order/0", 1_700_000, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
  own.report("coordinator/0", 1_710_000, { what: "status", xid, status: "TimeoutRollbacking" });
  expect(judged(own)).toMatchObject({ verdict: "inconclusive" });
  own.report("coordinator/0", 1_720_000, { what: "status", xid, status: "TimeoutRollbacked" });
  expect(judged(own)).toMatchObject({ verdict: "pass", trials: 41 });
  own.report("coordinator/0", 1_730_000, { what: "status", xid, status: "RollbackRetrying" });
  expect(judged(own)).toMatchObject({ verdict: "fail", message: "tc:1:untold is RollbackRetrying" });
});

test("what the coordinator has left of another bank's transactions isn't this one's", () => {
  const own = books().orders(40);
  const xid = "tc:1:other";
  own.report("order2/0", 4_000_000, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
  own.leave("coordinator/0", { kind: "lock", xid });
  own.found(xid, "RollbackFailed");
  expect(judged(own)).toMatchObject({ verdict: "pass", trials: 40 });
});

test("of a coordinator that isn't ours it says what wasn't looked at", () => {
  const history = books().orders(40).history({}, ["account/0", "stock/0"]);
  const transactions = history.transactions.filter(({ node }) => node !== "coordinator/0");
  expect(judgeCheck(plan, { ...history, transactions })).toMatchObject({
    verdict: "pass",
    message:
      "nothing is left of 40 transactions, and the coordinator says so of each; which locks and branches it still has can't be asked, as it isn't ours",
  });
});

test("it can't tell when somebody couldn't be asked, or from few", () => {
  expect(judgeCheck(plan, books().orders(40).history({}, ["account/0", "stock/0"]))).toMatchObject({
    verdict: "inconclusive",
    message: "nobody could ask coordinator at the end what is left",
  });
  const own = books().orders(40);
  own.reserve("tc:1:unasked", "account/0", 4_000_000);
  own.finish("tc:1:unasked", "account/0", "rollback", 4_000_000);
  expect(judged(own)).toMatchObject({
    verdict: "inconclusive",
    message: "nobody could ask the coordinator at the end what is left",
  });
  expect(judged(books().orders(5)).verdict).toBe("inconclusive");
  expect(judged(books())).toMatchObject({ verdict: "inconclusive", trials: 0 });
});

import { describe, expect, test } from "vitest";

import { bank, conservation, constant, consumer, provider, scenario } from "../scenario/builders.ts";
import { planScenario } from "../scenario/planner.ts";
import type { ChangeOf } from "./bank.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { judgeCheck } from "./fixtures.ts";

const plan = bankPlan([conservation("order").detects("20%")]);
const books = (): Books => new Books(plan);
type Audit = ChangeOf<"audit">;

test("a bank that reserves, uses up and gives back conserves what it has", () => {
  const history = books().orders(30).orders(20, "rollback").history();
  expect(judgeCheck(plan, history)).toMatchObject({
    verdict: "pass",
    observed: "0 of 50",
    falseAlarm: 0,
    name: "order conserves money and goods",
  });
});

describe("it finds", () => {
  test("the local step that loses something, and when", () => {
    const own = books().orders(40);
    own.order("commit", (xid, atUs) => own.move(xid, "account/0", { free: -1, frozen: 0, used: 0 }, atUs));
    expect(judgeCheck(plan, own.history())).toMatchObject({
      verdict: "fail",
      observed: "1 of 41",
      message: "u0 of account/0 had 1000 in all, and 999 after tc:1:40",
      brokenAtMs: 1604,
    });
  });

  test("what is gone when it is read at the end, although no step said so", () => {
    const own = books().orders(40);
    own.tamper("stock/0", { free: 5, frozen: 0, used: 0 });
    expect(judgeCheck(plan, own.history())).toMatchObject({
      verdict: "fail",
      message: "u1 of stock/0 had 1000 in all, and 1005 after its node came back",
    });
  });
});

describe("it finds a row", () => {
  /** As the last that a node read was, with something done to it. */
  const read = (node: string, change: (holdings: Audit["holdings"]) => Audit["holdings"]) => {
    const history = books().orders(40).history();
    const index = history.transactions.findLastIndex((one) => one.what === "audit" && one.node === node);
    const audit = history.transactions[index] as Audit;
    const transactions = history.transactions.with(index, { ...audit, holdings: change(audit.holdings) });
    return judgeCheck(plan, { ...history, transactions });
  };

  test("that is gone at the end, though nobody had to do with it", () => {
    expect(read("account/0", (holdings) => holdings.filter(({ item }) => item !== "u1"))).toMatchObject({
      verdict: "fail",
      message: "u1 of account/0 is gone when its node reads what it has",
      brokenAtMs: 5100,
    });
    expect(read("stock/0", () => []).message).toBe(
      "u0 of stock/0 is gone when its node reads what it has (and 1 more)",
    );
  });

  test("that has come out of nothing, or is there twice", () => {
    const more = { item: "u7", free: 9, frozen: 0, used: 0, version: 1 };
    expect(read("account/0", (holdings) => [...holdings, more])).toMatchObject({
      verdict: "fail",
      message: "u7 of account/0 is there, and wasn't at first, when its node reads what it has",
    });
    expect(read("account/0", (holdings) => [...holdings, holdings[1]!])).toMatchObject({
      verdict: "fail",
      message: "u1 of account/0 is there twice when its node reads what it has",
    });
  });

  test("that is gone when its node comes back", () => {
    const own = books().orders(40);
    const first = own.changes.find((one) => one.what === "audit") as Audit;
    own.changes.push({ ...first, atUs: 2_000_000, holdings: first.holdings.slice(1) });
    expect(judgeCheck(plan, own.history())).toMatchObject({ verdict: "fail", brokenAtMs: 2000 });
  });
});

test("it finds what is less than nothing, where it becomes so", () => {
  const drawn = (by: Parameters<Books["move"]>[2]) => {
    const own = books().orders(20);
    own.order("commit", (xid, atUs) => own.move(xid, "account/0", by, atUs));
    return judgeCheck(plan, own.orders(20).history());
  };
  // 790 were left: what came before it costs 10 each, and it has set 10 aside itself.
  expect(drawn({ free: -790, frozen: 0, used: 790 }).verdict).toBe("fail");
  expect(drawn({ free: -600, frozen: 0, used: 600 })).toMatchObject({ verdict: "fail", observed: "1 of 41" });
  expect(drawn({ free: -590, frozen: 0, used: 590 }).verdict).toBe("pass");
  expect(drawn({ free: 30, frozen: -30, used: 0 })).toMatchObject({
    verdict: "fail",
    message: "u0 of account/0 has -20 set aside after tc:1:20",
    brokenAtMs: 804,
  });
  expect(drawn({ free: 300, frozen: 0, used: -300 })).toMatchObject({
    verdict: "fail",
    observed: "1 of 41",
    message: "u0 of account/0 has -100 used up after tc:1:20",
  });
});

describe("it can't tell", () => {
  test("when nobody could be asked at the end", () => {
    expect(judgeCheck(plan, books().orders(40).history({}, ["account/0"]))).toMatchObject({
      verdict: "inconclusive",
      message: "nobody could ask stock at the end what it has",
    });
  });

  test("from few transactions, or from none", () => {
    expect(judgeCheck(plan, books().orders(5).history()).verdict).toBe("inconclusive");
    expect(judgeCheck(plan, books().history())).toMatchObject({ verdict: "inconclusive", trials: 0 });
  });
});

test("a plan that can't have enough transactions, or that has no bank, is refused", () => {
  expect(() => bankPlan([conservation("order").detects("1%")])).toThrow("needs 688");
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: { buyer: consumer({ instances: 1, calls: "orders" }), orders: provider(), ...bank() },
    load: constant("20/s").on("buyer").for("5s"),
    expect: [conservation("orders").detects("20%")],
  });
  expect(() => planScenario(value, { world: "sim", seed: 1 })).toThrow("orders is no order service of a bank");
});

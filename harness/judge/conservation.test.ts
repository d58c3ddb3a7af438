import { describe, expect, test } from "vitest";

import { bank, conservation, constant, consumer, provider, scenario } from "../scenario/builders.ts";
import { planScenario } from "../scenario/planner.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { judgeCheck } from "./fixtures.ts";

const plan = bankPlan([conservation("order").detects("20%")]);
const books = (): Books => new Books(plan);

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

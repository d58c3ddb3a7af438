import { describe, expect, test } from "vitest";

import { tccFence } from "../scenario/builders.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { judgeCheck } from "./fixtures.ts";

const all = ["empty-rollback", "suspension", "duplicate-confirm", "duplicate-cancel"] as const;
const plan = bankPlan(all.map((shows) => tccFence("account").shows(shows).detects("20%")));
const account = "account/0";
const ms = 1_000;

/** Thirty-two of each accident; `effect` is what one of them does. */
function accidents(effect: (own: Books, xid: string, atUs: number) => void = () => undefined): Books {
  const own = new Books(plan);
  for (let index = 0; index < 32; index++) {
    const xid = own.order("commit", () => undefined);
    own.step(xid, account, "confirm", "again", index * 40 * ms + 7 * ms);
    const late = `tc:1:late ${index}`;
    own.step(late, account, "cancel", "empty", index * 40 * ms + 8 * ms);
    own.step(late, account, "cancel", "again", index * 40 * ms + 8 * ms);
    own.step(late, account, "try", "refused", index * 40 * ms + 9 * ms);
  }
  effect(own, "tc:1:late 7", 2_000 * ms);
  return own;
}

test("accidents without an effect pass, each counted by itself", () => {
  const history = accidents().history();
  for (const [index] of all.entries()) {
    expect(judgeCheck(plan, history, index)).toMatchObject({ verdict: "pass", observed: "0 of 32", falseAlarm: 0 });
  }
});

test("a branch one of whose commits got no answer isn't held against it, until somebody has found out", () => {
  const judged = (state: "open" | "undone") =>
    judgeCheck(
      plan,
      accidents((own, xid, atUs) => {
        const doubt = {
          xid,
          branchId: `${xid} ${account}`,
          resource: "account.reserve",
          item: "u0",
          version: 77,
        } as const;
        own.report(account, atUs, { what: "doubt", ...doubt, state: "open" });
        own.move(xid, account, { free: 10, frozen: -10, used: 0 }, atUs);
        if (state !== "open") own.report(account, atUs, { what: "doubt", ...doubt, state });
      }).history(),
    );
  expect(judged("open")).toMatchObject({ verdict: "pass", observed: "0 of 32" });
  expect(judged("undone")).toMatchObject({ verdict: "fail", observed: "1 of 32" });
});

describe("it finds", () => {
  const found = (effect: (own: Books, xid: string, atUs: number) => void) =>
    judgeCheck(plan, accidents(effect).history(), 0);
  const amount = 10;

  const refusing = (own: Books, xid: string, atUs: number): void => {
    const branch = { xid, branchId: `${xid} ${account}`, branchType: "TCC", resource: "account.reserve" } as const;
    own.report(account, atUs, { what: "branch", ...branch, status: "PhaseTwo_RollbackFailed_Retryable" });
  };

  test("a cancel without a try that has to come again, and only where such are to be shown", () => {
    const history = accidents(refusing).history();
    expect(judgeCheck(plan, history, 0)).toMatchObject({
      verdict: "fail",
      observed: "1 of 32",
      message: "account/0 refused a cancel of tc:1:late 7 that had no try",
    });
    expect(judgeCheck(plan, history, 3).verdict).toBe("fail");
    expect(judgeCheck(plan, history, 1).verdict).toBe("pass");
  });

  test("no fault in a cancel that has to come again where there was a try", () => {
    const own = accidents();
    refusing(own, "tc:1:3", 2_000 * ms);
    expect(judgeCheck(plan, own.history(), 0).verdict).toBe("pass");
  });

  test("a cancel that gives back what was never taken", () => {
    const result = found((own, xid, atUs) => own.move(xid, account, { free: amount, frozen: -amount, used: 0 }, atUs));
    expect(result).toMatchObject({
      verdict: "fail",
      observed: "1 of 32",
      message: "a branch of tc:1:late 7 did cancel to u0 of account/0",
      brokenAtMs: 2_000,
    });
  });

  test("a try after its cancel", () => {
    const result = found((own, xid, atUs) => {
      own.move(xid, account, { free: amount, frozen: -amount, used: 0 }, atUs);
      own.move(xid, account, { free: -amount, frozen: amount, used: 0 }, atUs + ms);
    });
    expect(result.message).toBe("a branch of tc:1:late 7 did cancel, try to u0 of account/0");
  });

  test("a confirm that is done twice, and something that is no step at all", () => {
    expect(found((own, _, atUs) => own.finish("tc:1:7", account, "commit", atUs)).message).toBe(
      "a branch of tc:1:7 did try, confirm, confirm to u0 of account/0",
    );
    expect(found((own, _, atUs) => own.move("tc:1:7", account, { free: 0, frozen: 0, used: 0 }, atUs)).message).toBe(
      "a branch of tc:1:7 did try, confirm, something else to u0 of account/0",
    );
  });
});

test("what a killed node kept to itself isn't held against a branch", () => {
  const own = accidents((books, _, atUs) => books.finish("tc:1:7", account, "commit", atUs));
  const gaps = [{ type: "gap" as const, node: account, fromUs: 1_000 * ms, toUs: 1_100 * ms }];
  expect(judgeCheck(plan, own.history({ gaps }), 0).verdict).toBe("pass");
});

test("a run that shows no such accident, or few, tells nothing", () => {
  expect(judgeCheck(plan, new Books(plan).orders(50).history(), 1)).toMatchObject({
    verdict: "inconclusive",
    message: "there was no try after its cancel at account to judge",
  });
  const own = new Books(plan).orders(50);
  own.step("tc:1:late", account, "try", "refused", ms);
  expect(judgeCheck(plan, own.history(), 1).verdict).toBe("inconclusive");
});

test("order has no fence", () => {
  expect(() => bankPlan([tccFence("order").shows("suspension").detects("20%")])).toThrow("order has no fence");
});

test("where what is set aside is outside there is no fence, and only TCC sets anything aside", () => {
  const planned = (of: Parameters<typeof bankPlan>[1]) => () =>
    bankPlan([tccFence("account").shows("suspension").detects("20%")], of);
  expect(planned({ of: { account: { outside: {} } } })).toThrow("account has no fence");
  expect(planned({ of: { stock: { outside: {} } } })).not.toThrow();
  expect(planned({ of: { mode: "at", stock: { outside: {} } } })).toThrow('outside is for mode "tcc"');
});

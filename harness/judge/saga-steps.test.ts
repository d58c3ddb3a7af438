import { describe, expect, test } from "vitest";

import type { GlobalStatus } from "../../runtime/transactions/status.ts";
import { sagaSteps } from "../scenario/builders.ts";
import { bankPlan, Books } from "./bank-fixtures.ts";
import { judgeCheck } from "./fixtures.ts";

const plan = bankPlan(
  [
    sagaSteps("order").shows("compensation").detects("20%"),
    sagaSteps("order").shows("repair").detects("20%"),
    sagaSteps("order").shows("resumption").detects("20%"),
    sagaSteps("order").shows("dirty-read").detects("20%"),
  ],
  { of: { mode: "saga", looks: {} } },
);
const ms = 1_000;

/** "account" takes, "-account" gives back. */
type Step = "account" | "stock" | "-account" | "-stock";

/** A saga that did these steps; `found` is what the coordinator says of it in the end, `told` what its manager heard. */
function add(own: Books, name: string, steps: readonly Step[], found: GlobalStatus, told?: GlobalStatus): void {
  const xid = `tc:1:${name}`;
  const atUs = 10 * ms * own.changes.length;
  own.report("order/0", atUs, { what: "begin", xid, name: "buy", timeoutMs: 60_000 });
  for (const [index, step] of steps.entries()) {
    const service = step.replace("-", "");
    const amount = (service === "account" ? 10 : 1) * (step.startsWith("-") ? -1 : 1);
    own.move(xid, `${service}/0`, { free: -amount, frozen: 0, used: amount }, atUs + (index + 1) * ms);
  }
  if (told !== undefined) own.tell(xid, told === "Committed" ? "commit" : "rollback", atUs + 9 * ms, told);
  own.found(xid, found);
}

const back: readonly Step[] = ["account", "stock", "-stock", "-account"];

/** As it should be: some are kept, some taken back, some need a person. */
function healthy(): Books {
  const own = new Books(plan);
  for (let index = 0; index < 32; index++) {
    add(own, `kept ${index}`, ["account", "stock"], "Finished", "Committed");
    add(own, `back ${index}`, back, "Finished", "Rollbacked");
    add(own, `early ${index}`, ["account", "-account"], "Rollbacked");
    add(own, `none ${index}`, [], "Rollbacked");
    add(own, `stuck ${index}`, ["account", "stock", "-stock"], "RollbackFailed");
  }
  return own;
}

const judged = (own: Books, index = 0) => judgeCheck(plan, own.history(), index);

test("steps that are kept, or taken back from the last one on, are in order; only what is shown counts", () => {
  expect(judged(healthy())).toMatchObject({ verdict: "pass", observed: "0 of 64", falseAlarm: 0 });
  expect(judged(healthy(), 1)).toMatchObject({ verdict: "pass", observed: "0 of 32" });
});

describe("it finds a saga that", () => {
  test.each<[string, readonly Step[], GlobalStatus, GlobalStatus | undefined]>([
    ["took the first step back first", ["account", "stock", "-account", "-stock"], "Finished", "Rollbacked"],
    ["took a step back twice", ["account", "stock", "-stock", "-stock", "-account"], "Rollbacked", undefined],
    ["took back what it had never done", ["account", "-stock", "-account"], "Rollbacked", undefined],
    ["did a step twice", ["account", "account", "stock"], "Committed", undefined],
    ["did the second step first", ["stock", "account"], "Committed", undefined],
    ["kept a step though it was rolled back", ["account", "stock", "-stock"], "Rollbacked", undefined],
    ["took steps back though it was committed", back, "Finished", "Committed"],
    ["took steps back though its manager was told that it is committed", back, "TimeoutRollbacked", "Committed"],
    ["did half and was committed", ["account"], "Committed", undefined],
    ["is over with half of its steps", ["account"], "Finished", undefined],
    ["needs a person and went on in another order", ["account", "stock", "-account"], "RollbackFailed", undefined],
  ])("%s", (_, steps, found, told) => {
    const own = healthy();
    add(own, "wrong", steps, found, told);
    const result = judged(own);
    expect(result).toMatchObject({ verdict: "fail", observed: "1 of 65" });
    expect(result.message).toContain(`tc:1:wrong did ${steps.join(", ")}, and was`);
  });
});

test("sagas are resumed that were being taken back when their engine began a new life", () => {
  const own = healthy();
  const bornUs = 2_000 * ms;
  for (let index = 0; index < 40; index++) {
    const saga = { what: "saga", xid: `tc:1:back ${index}`, branchId: "7", resource: "order", saga: "buy" } as const;
    // The last eight began only afterwards.
    own.report("order/0", bornUs + (index < 32 ? -1 : 1) * ms, { ...saga, phase: "compensating" });
    own.report("order/0", bornUs + 50 * ms, { ...saga, phase: "compensated" });
  }
  const life = (node: string) => ({ type: "node", phase: "listening", node, atUs: bornUs }) as const;
  const resumed = (node: string) => judgeCheck(plan, own.history({ phases: [life(node)] }), 2);
  expect(resumed("order/0")).toMatchObject({ verdict: "pass", observed: "0 of 32" });
  expect(resumed("stock/0")).toMatchObject({
    verdict: "inconclusive",
    message: "there was no saga that was being taken back when its engine died to judge",
  });
});

test("a dirty read is a look at what a step had left that was taken back afterwards", () => {
  const own = healthy();
  const looks = { what: "look", resource: "account.take", item: "u0", isLocking: false } as const;
  const steps = own.changes.filter((change) => change.what === "holding" && change.node === "account/0");
  const see = (by: string, of: string, { isBack = false } = {}): void => {
    const [taken, back] = steps.filter(({ xid }) => xid === `tc:1:${of}`) as { readonly version: number }[];
    own.report("account/0", 1_000, { ...looks, xid: `tc:1:${by}`, version: (isBack ? back : taken)!.version });
  };
  for (let index = 0; index < 32; index++) {
    see(`kept ${index}`, `back ${index}`);
    // What was given back, what was kept, and its own are none.
    see(`none ${index}`, `back ${index}`, { isBack: true });
    see(`early ${index}`, `kept ${index}`);
    see(`back ${index}`, `back ${index}`);
  }
  expect(judged(own, 3)).toMatchObject({
    verdict: "pass",
    observed: "0 of 32",
    message: "32 sagas that saw what another one then took back did it in order",
  });
});

test("who is still on the way is no error, and of whom nobody could ask neither", () => {
  const own = healthy();
  add(own, "under way", ["account"], "Begin");
  expect(judged(own)).toMatchObject({ verdict: "pass", observed: "0 of 64" });
});

test("without sagas that were taken back there is nothing to judge, and with few it can't be told", () => {
  const none = new Books(plan);
  for (let index = 0; index < 32; index++) add(none, `kept ${index}`, ["account", "stock"], "Committed");
  expect(judged(none)).toMatchObject({
    verdict: "inconclusive",
    message: "there was no saga that was taken back to judge",
  });
  add(none, "back", back, "Rollbacked");
  expect(judged(none)).toMatchObject({ verdict: "inconclusive", observed: "0 of 1" });
});

test("a bank without sagas is refused", () => {
  expect(() => bankPlan([sagaSteps("order").shows("repair").detects("20%")])).toThrow(/order runs no sagas/);
});

test("where nobody looks no dirty read can be shown, and a saga's look is a plain one", () => {
  const planned = (looks?: object) => () =>
    bankPlan([sagaSteps("order").shows("dirty-read").detects("20%")], {
      of: { mode: "saga", ...(looks && { looks }) },
    });
  expect(planned()).toThrow("nobody looks");
  expect(planned({ locking: "50%" })).toThrow('looks is for mode "at"');
  expect(planned({ partner: true })).toThrow('looks is for mode "at"');
});

import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { lastWords, neededFor, planOfBank } from "./bank.ts";
import { isOpen, othersIn, transactionsOf } from "./branches.ts";
import type { CheckKind } from "./check.ts";
import { isOf } from "./nodes.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";

/**
 * When the load and the faults are over and the coordinator had time to finish: no transaction is open or needs a person, nothing is set
 * aside, no branch waits for its second phase, no row is locked globally, and no undo log has rows. Of a coordinator that isn't ours, which
 * locks and branches it still has can't be asked: the message says so.
 */
export const nothingLeft: CheckKind<Extract<CheckSpec, { check: "nothing-left" }>> = {
  plan: (spec, context) => ({
    ...planOfBank(spec, context, { name: `nothing is left of ${spec.service}`, detects: "leave something" }),
    phase: "recovery",
    // A machine that is slow enough is not done in time.
    falseAlarm: context.world === "sim" ? 0 : null,
  }),
  judge: (plan, history) => {
    const bank = plan.bank!;
    const bound = "0 left";
    const all = transactionsOf(history, bank);
    if (all.length === 0) return resultOf(plan, nothingToJudge(bound, "transaction"));
    const unread =
      unreadIn(history, bank) ?? (all.some(({ found }) => found === undefined) ? "the coordinator" : undefined);
    const left = leftIn(history, bank);
    for (const transaction of all) {
      if (isOpen(transaction)) left.set(transaction.xid, `${transaction.xid} is ${transaction.found}`);
    }
    const isEnough = all.length >= neededFor(plan.check);
    const [first] = left.values();
    // Who is asked before it is time to be done has something left.
    const hadTime = history.end?.outcome === "complete";
    const isClean = first === undefined && unread === undefined && isEnough;
    return resultOf(plan, {
      verdict: isClean ? "pass" : first !== undefined && hadTime ? "fail" : "inconclusive",
      observed: `${left.size} of ${all.length}`,
      bound,
      trials: all.length,
      message:
        first !== undefined
          ? `${first}${left.size > 1 ? ` (and ${left.size - 1} more)` : ""}`
          : unread !== undefined
            ? `nobody could ask ${unread} at the end what is left`
            : `nothing is left of ${all.length} transactions${isOurs(history) ? "" : unasked}${isEnough ? "" : ": too few to tell"}`,
    });
  },
};

const isOurs = ({ transactions }: History): boolean => transactions.some(({ node }) => node === "coordinator/0");

const unasked =
  ", and the coordinator says so of each; which locks and branches it still has can't be asked, as it isn't ours";

/** Who couldn't tell. A coordinator that isn't ours tells of its transactions only when it is asked for each. */
function unreadIn(history: History, { account, stock }: BankPlan): string | undefined {
  const parts = [account, stock, ...(isOurs(history) ? ["coordinator"] : [])];
  return parts.find((part) => lastWords(history, part) === undefined);
}

/** By transaction, or by item where nobody knows whose it is. */
function leftIn(history: History, bank: BankPlan): Map<string, string> {
  const { account, stock } = bank;
  const others = othersIn(history, bank);
  const found = new Map<string, string>();
  const audits = [account, stock, "coordinator"].flatMap((part) => lastWords(history, part) ?? []);
  for (const { node, left } of audits) {
    for (const { kind, xid } of left) {
      const isOthers = isOf("coordinator", { node }) && others.has(xid);
      if (!isOthers) found.set(xid, `${node} has ${articles[kind]} of ${xid}`);
    }
  }
  if (found.size > 0) return found;
  for (const { node, holdings } of audits) {
    for (const { item, frozen } of holdings) {
      if (frozen !== 0) found.set(`${node} ${item}`, `${item} of ${node} has ${frozen} set aside`);
    }
  }
  return found;
}

const articles = { transaction: "a transaction", lock: "a lock", branch: "an unfinished branch", undo: "an undo log" };

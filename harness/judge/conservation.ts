import type { CheckSpec } from "../scenario/schema.ts";
import { lastWords, movesOf, neededFor, planOfBank, type Holding, type Move } from "./bank.ts";
import type { CheckKind } from "./check.ts";
import { nothingToJudge, resultOf } from "./outcome.ts";

/**
 * What an account has, free, set aside and paid, is as much after every local transaction as it was at first, and so for the goods. As no
 * item is at two nodes, this holds at every cut of the run, consistent ones among them, and when all is quiet.
 */
export const conservation: CheckKind<Extract<CheckSpec, { check: "conservation" }>> = {
  plan: (spec, context) =>
    planOfBank(spec, context, {
      name: `${spec.service} conserves money and goods`,
      detects: "make or lose something",
    }),
  judge: (plan, history) => {
    const { account, stock } = plan.bank!;
    const bound = "nothing made or lost";
    const moves = [...movesOf(history, account), ...movesOf(history, stock)];
    const trials = new Set(moves.flatMap(({ xid, atUs }) => (xid === "" || atUs < 0 ? [] : [xid]))).size;
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, "transaction that moved something"));
    const broken = moves.filter(isBreach);
    const unread = [account, stock].find((service) => lastWords(history, service) === undefined);
    const isEnough = trials >= neededFor(plan.check);
    const first = broken.toSorted((a, b) => a.atUs - b.atUs)[0];
    return resultOf(plan, {
      verdict: first !== undefined ? "fail" : unread === undefined && isEnough ? "pass" : "inconclusive",
      observed: first === undefined ? `0 of ${trials}` : `${transactionsIn(broken)} of ${trials}`,
      bound,
      trials,
      message:
        first !== undefined
          ? `${first.item} of ${first.node} had ${sumOf(first.before!)} in all, and ${sumOf(first.after)} after ${first.xid || "its node came back"}${broken.length > 1 ? ` (and ${broken.length - 1} more)` : ""}`
          : unread !== undefined
            ? `nobody could ask ${unread} at the end what it has`
            : `${trials} transactions made and lost nothing${isEnough ? "" : ": too few to tell"}`,
      brokenAtUs: first?.atUs,
    });
  },
};

const isBreach = ({ before, after }: Move): boolean => before !== undefined && sumOf(before) !== sumOf(after);

const sumOf = ({ free, frozen, used }: Holding): number => free + frozen + used;

const transactionsIn = (moves: readonly Move[]): number => new Set(moves.map(({ xid }) => xid)).size;

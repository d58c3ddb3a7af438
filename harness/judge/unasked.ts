import type { RpcCode } from "../../runtime/call/status.ts";
import type { History } from "../history/history.ts";
import type { BankPlan, CheckPlan } from "../scenario/plan.ts";
import { isOpen, isSettled, netOf, transactionsOf, type Transaction } from "./branches.ts";
import { deal, type Span } from "./dealing.ts";
import { mayCall } from "./nodes.ts";

/**
 * Committed transactions that no call asked for: an order begins one for each attempt that reaches it, while that lasts, or, where its
 * caller gave up, at any time after, and commits none for whom it refuses. So where they can't be dealt out to the attempts, somebody has
 * bought twice, or was told that he hasn't; which of them it was, is a guess then. From a call on whose attempts nobody has told of,
 * nothing is known any more.
 */
export function unaskedFor(history: History, bank: BankPlan, plan: CheckPlan): readonly Transaction[] {
  const attempts = Map.groupBy(attemptsOf(history, bank), ({ instance }) => instance);
  const untilUs = knownUntil(history, bank, plan);
  const done = transactionsOf(history, bank).filter(
    (one) => isDone(one) && beganAt(one) >= 0 && beganAt(one) < untilUs,
  );
  const timeOf = (one: Transaction): Span => ({ beginUs: beganAt(one), endUs: beganAt(one) });
  return [...Map.groupBy(done, ({ begun }) => begun!.node)].flatMap(
    ([instance, own]) => deal(own, attempts.get(instance) ?? [], timeOf).items,
  );
}

/** Paid, and taken; what is done by halves, or is yet to be taken back, is told otherwise. */
const isDone = (one: Transaction): boolean =>
  isSettled(one) && !isOpen(one) && netOf(one.paid).used !== 0 && netOf(one.taken).used !== 0;

/** Those of which nobody could say are nobody's. */
const beganAt = ({ begun }: Transaction): number => begun?.atUs ?? -1;

/** What only who serves a call says of it, when nothing is done for it. Whatever else a call ends as, but OK, its server may go on. */
const refusals: ReadonlySet<RpcCode> = new Set(["ABORTED", "FAILED_PRECONDITION"]);

function attemptsOf({ calls }: History, { order }: BankPlan): readonly (Span & { readonly instance: string })[] {
  return calls.flatMap(({ service, attempts }) => {
    if (service !== order) return [];
    return attempts.flatMap(({ instance, beginUs, endUs, code }) => {
      const isOver = endUs !== -1;
      if (isOver && refusals.has(code)) return [];
      return [{ instance, beginUs, endUs: isOver && code === "OK" ? endUs : Infinity }];
    });
  });
}

/** Until the first call that has no end, or that a caller who was killed may have made. Of who isn't ours nothing is known. */
function knownUntil({ calls, gaps }: History, { order }: BankPlan, plan: CheckPlan): number {
  const asked = calls.filter(({ service }) => service === order);
  if (asked.length === 0 || plan.callers === undefined) return -Infinity;
  const killed = gaps.filter((gap) => mayCall(plan, gap)).map(({ fromUs }) => fromUs);
  const unended = asked.filter(({ code }) => code === undefined).map(({ beginUs }) => beginUs);
  return [...unended, ...killed].reduce((us, own) => Math.min(us, own), Infinity);
}

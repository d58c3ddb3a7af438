import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { isOpen, isSettled, netOf, transactionsOf, type Transaction } from "./branches.ts";
import { deal, type Span } from "./dealing.ts";
import { isOf } from "./nodes.ts";

/** An attempt to buy that was answered OK. */
export interface Answer extends Span {
  /** Whose call it was of, and which one. */
  readonly node: string;
  readonly call: number;
  /** Who answered. */
  readonly instance: string;
}

/**
 * Those answers for which no transaction was committed. Nothing on the wire says which one a call was about, and nothing needs to: whoever
 * answers has begun it, and was told of its end, while the attempt lasted, and each answer has one of its own. So where the committed ones
 * can't be dealt out to all answers in whose time they lie, somebody was told of one that isn't there; which answer of several that is, is
 * a guess then. One whose end is in doubt counts as committed, and an answer isn't looked at whose node was killed before it could send its
 * records of that time.
 */
export function emptyAnswers(history: History, bank: BankPlan): readonly Answer[] {
  const answers = Map.groupBy(answersOf(history, bank), ({ instance }) => instance);
  const done = Map.groupBy(transactionsOf(history, bank).filter(mayBeDone), ({ begun }) => begun?.node);
  return [...answers].flatMap(([instance, own]) => deal(done.get(instance) ?? [], own, timeOf).places);
}

function answersOf({ calls, gaps }: History, { order }: BankPlan): readonly Answer[] {
  return calls.flatMap(({ node, call, service, attempts }) => {
    if (service !== order) return [];
    return attempts.flatMap(({ instance, beginUs, endUs, code }): readonly Answer[] => {
      // One that hasn't ended has no code of its own.
      const isAnswered = code === "OK" && endUs !== -1;
      if (!isAnswered || beginUs < 0 || !isOf(order, { node: instance })) return [];
      const isHidden = gaps.some((gap) => gap.node === instance && gap.fromUs <= endUs && gap.toUs >= beginUs);
      return isHidden ? [] : [{ node, call, instance, beginUs, endUs }];
    });
  });
}

/** All but those that came to nothing for certain. */
function mayBeDone(transaction: Transaction): boolean {
  if (!isSettled(transaction) || isOpen(transaction)) return true;
  return netOf(transaction.paid).used !== 0 || netOf(transaction.taken).used !== 0;
}

/** From its begin until its manager first heard of an end: what it asks for in another life comes later. */
function timeOf({ begun, fromUs, told }: Transaction): Span {
  const beginUs = begun?.atUs ?? fromUs;
  return { beginUs, endUs: told.reduce((us, { atUs }) => Math.min(us, atUs), told[0]?.atUs ?? beginUs) };
}

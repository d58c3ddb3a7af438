import type { History } from "../history/history.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { isOpen, isSettled, netOf, transactionsOf, type Transaction } from "./branches.ts";

/** An attempt to buy that was answered OK. */
export interface Answer {
  /** Whose call it was of, and which one. */
  readonly node: string;
  readonly call: number;
  /** Who answered. */
  readonly instance: string;
  readonly beginUs: number;
  readonly endUs: number;
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
  return [...answers].flatMap(([instance, own]) => leftOver(own, done.get(instance) ?? []));
}

function answersOf({ calls, gaps }: History, { order }: BankPlan): readonly Answer[] {
  return calls.flatMap(({ node, call, service, attempts }) => {
    if (service !== order) return [];
    return attempts.flatMap(({ instance, beginUs, endUs, code }): readonly Answer[] => {
      // One that hasn't ended has no code of its own.
      const isAnswered = code === "OK" && endUs >= beginUs;
      if (!isAnswered || beginUs < 0 || !instance.startsWith(`${order}/`)) return [];
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

/** Each transaction, as they began, goes to the answer that ends first of those in whose time it lies: no way leaves fewer without one. */
function leftOver(answers: readonly Answer[], done: readonly Transaction[]): readonly Answer[] {
  const toCome = answers.toSorted((a, b) => a.beginUs - b.beginUs);
  const left: Answer[] = [];
  let open: Answer[] = [];
  let next = 0;
  for (const { fromUs, toUs } of done.map(timeOf).toSorted((a, b) => a.fromUs - b.fromUs)) {
    for (; next < toCome.length && toCome[next]!.beginUs <= fromUs; next++) open.push(toCome[next]!);
    left.push(...open.filter(({ endUs }) => endUs < fromUs));
    open = open.filter(({ endUs }) => endUs >= fromUs);
    const fitting = open.filter(({ endUs }) => endUs >= toUs).toSorted((a, b) => a.endUs - b.endUs);
    open = open.filter((answer) => answer !== fitting[0]);
  }
  return [...left, ...open, ...toCome.slice(next)];
}

/** From its begin until its manager first heard of an end: what it asks for in another life comes later. */
function timeOf({ begun, fromUs, told }: Transaction): { readonly fromUs: number; readonly toUs: number } {
  const beginUs = begun?.atUs ?? fromUs;
  return { fromUs: beginUs, toUs: told.reduce((us, { atUs }) => Math.min(us, atUs), told[0]?.atUs ?? beginUs) };
}

import { isEnded, needsRepair } from "../../runtime/transactions/status.ts";
import type { GlobalStatus } from "../../runtime/transactions/status.ts";
import type { History } from "../history/history.ts";
import { lastWord } from "../history/last-word.ts";
import type { BankPlan } from "../scenario/plan.ts";
import { movesOf, once, openDoubts, type Move } from "./bank.ts";
import { isOf } from "./nodes.ts";

/** A global transaction, from what everybody reported of it. */
export interface Transaction {
  readonly xid: string;
  readonly fromUs: number;
  readonly toUs: number;
  /** Who began it, and when; undefined: nobody who could say so has. */
  readonly begun: { readonly node: string; readonly atUs: number } | undefined;
  /** What was done to accounts and to goods for it, in order, whatever the mode. */
  readonly paid: readonly Move[];
  readonly taken: readonly Move[];
  /** Ends that its manager was told of. */
  readonly told: readonly { readonly status: GlobalStatus; readonly atUs: number }[];
  /** The coordinator's last word on it; undefined: it hasn't said that it is over, and nobody could ask. */
  readonly found: GlobalStatus | undefined;
  /**
   * What was done for it is partly unknown: a node that took part was killed meanwhile, before it could send its last records, or a commit
   * got no answer and nobody found out.
   */
  readonly isDoubtful: boolean;
}

/** Every transaction of this bank that began, or did something, since the load did. */
export const transactionsOf: (history: History, bank: BankPlan) => readonly Transaction[] = once(
  ({ order, account, stock }) => `${order} ${account} ${stock}`,
  readTransactions,
);

function readTransactions(history: History, bank: BankPlan): readonly Transaction[] {
  const paid = byXid(movesOf(history, bank.account));
  const taken = byXid(movesOf(history, bank.stock));
  const gaps = history.gaps.filter(({ node }) =>
    [bank.account, bank.stock].some((name) => node.startsWith(`${name}/`)),
  );
  const doubted = new Set(
    [bank.account, bank.stock].flatMap((name) => openDoubts(history, name)).map(({ xid }) => xid),
  );
  const others = othersIn(history, bank);
  const all = new Map<
    string,
    {
      fromUs: number;
      toUs: number;
      begun?: Transaction["begun"];
      told: Transaction["told"][number][];
      found: GlobalStatus | undefined;
    }
  >();
  for (const change of history.transactions) {
    const { xid, atUs } = change;
    if (xid === "") continue;
    const known = all.get(xid) ?? { fromUs: atUs, toUs: atUs, told: [], found: undefined };
    all.set(xid, known);
    known.found = lastWord(known.found, change);
    if (change.what === "found") continue;
    known.fromUs = Math.min(known.fromUs, atUs);
    known.toUs = Math.max(known.toUs, atUs);
    if (change.what === "begin") known.begun = { node: change.node, atUs };
    if (change.what === "end") known.told.push({ status: change.status, atUs });
  }
  return [...all].flatMap(([xid, { fromUs, toUs, begun, told, found }]): Transaction[] => {
    if (toUs < 0) return [];
    const lastsUntilUs = hasEnded({ told, found }) ? toUs : Infinity;
    const isDoubtful = doubted.has(xid) || gaps.some((gap) => gap.fromUs <= lastsUntilUs && gap.toUs >= fromUs);
    const did = { paid: paid.get(xid) ?? [], taken: taken.get(xid) ?? [] };
    if (others.has(xid) && did.paid.length === 0 && did.taken.length === 0) return [];
    return [{ xid, fromUs, toUs, begun, told, found, isDoubtful, ...did }];
  });
}

/** Transactions that this bank's order hasn't begun: the banks of a fleet share the coordinator. */
export const othersIn: (history: History, bank: BankPlan) => ReadonlySet<string> = once(
  ({ order }) => order,
  ({ transactions }, { order }) =>
    new Set(transactions.flatMap((one) => (one.what === "begin" && !isOf(order, one) ? [one.xid] : []))),
);

/** Whether anybody has heard that nothing more is done for it. */
const hasEnded = ({ told, found }: Pick<Transaction, "told" | "found">): boolean =>
  (found !== undefined && isEnded(found)) || told.some(({ status }) => endOf(status) !== undefined);

function byXid(moves: readonly Move[]): ReadonlyMap<string, readonly Move[]> {
  const found = new Map<string, Move[]>();
  for (const move of moves) {
    if (move.xid === "") continue;
    const own = found.get(move.xid);
    if (own === undefined) found.set(move.xid, [move]);
    else own.push(move);
  }
  return found;
}

/** What these changes come to, all together: used up for good, and still set aside. */
export function netOf(moves: readonly Move[], untilUs = Infinity): { readonly used: number; readonly frozen: number } {
  let used = 0;
  let frozen = 0;
  for (const { before, after, atUs } of moves) {
    if (before === undefined || atUs > untilUs) continue;
    used += after.used - before.used;
    frozen += after.frozen - before.frozen;
  }
  return { used, frozen };
}

/** Whether an end is one: all was done, or nothing. */
export function endOf(status: GlobalStatus): "committed" | "rolled back" | undefined {
  if (status === "Committed") return "committed";
  return status === "Rollbacked" || status === "TimeoutRollbacked" ? "rolled back" : undefined;
}

/** All is known of it, and nothing is set aside: what is under way is no half, and what is left of it is another check's. */
export const isSettled = ({ isDoubtful, paid, taken }: Transaction): boolean =>
  !isDoubtful && netOf(paid).frozen === 0 && netOf(taken).frozen === 0;

/** Not over yet, or over only by a person's hand. */
export const isOpen = ({ found }: Transaction): boolean =>
  found !== undefined && (!isEnded(found) || needsRepair(found));

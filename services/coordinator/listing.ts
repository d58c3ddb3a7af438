import type { BranchSession, GlobalSession } from "./session.ts";

/** A failed transaction, as a person is shown it. */
export interface Listed extends Pick<GlobalSession, "xid" | "status" | "name" | "application"> {
  readonly beganMs: bigint;
  readonly branches: BranchSession[];
  /** Branches that didn't fit. */
  readonly moreBranches: number;
}

/** Failed transactions listed at once, and characters of them: three bytes each at most, and a message has four million. */
const limits = { transactions: 1000, characters: 1_000_000 };

/** What of each transaction and branch has a bound of its own. */
const fixedCharacters = 128;

/** As many of the transactions as fit into one message, then as many of their branches; `more` is how many transactions don't. */
export function listing(
  sessions: readonly GlobalSession[],
  { transactions: most, characters } = limits,
): { readonly transactions: Listed[]; readonly more: number } {
  let room = characters;
  const takes = (...texts: readonly string[]): boolean => {
    const size = texts.reduce((sum, text) => sum + text.length, fixedCharacters);
    if (size > room) return false;
    room -= size;
    return true;
  };
  /** Those before the first that doesn't fit. */
  const fitting = <T>(all: readonly T[], textsOf: (one: T) => readonly string[]): T[] => {
    const end = all.findIndex((one) => !takes(...textsOf(one)));
    return all.slice(0, end < 0 ? all.length : end);
  };
  const told = fitting(sessions.slice(0, most), ({ xid, name, application }) => [xid, name, application]);
  const transactions = told.map(({ beganMs, branches: all, xid, status, name, application }) => {
    const branches = fitting(all, ({ resourceId, lockKey }) => [resourceId, lockKey]);
    const moreBranches = all.length - branches.length;
    return { xid, status, name, application, beganMs: BigInt(beganMs), branches, moreBranches };
  });
  return { transactions, more: sessions.length - transactions.length };
}

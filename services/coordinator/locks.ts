import type { RowLock } from "../../runtime/transactions/lock-key.ts";

/** Whose a row is. */
export interface LockHolder {
  readonly xid: string;
  readonly branchId: string;
}

/** The global locks: a row of a resource belongs to one transaction at most, which may take it more than once. */
export class GlobalLocks {
  readonly #rows = new Map<string, LockHolder>();
  /** By transaction, and by branch. */
  readonly #held = new Map<string, Map<string, string[]>>();

  /** Takes every row or none; answers who is in the way, if anybody. */
  acquire(holder: LockHolder, resourceId: string, rows: readonly RowLock[]): LockHolder | undefined {
    const keys = rows.map((row) => keyOf(resourceId, row));
    const conflict = this.#conflict(holder.xid, keys);
    if (conflict !== undefined) return conflict;
    const taken: string[] = [];
    for (const key of keys) {
      // What the transaction has already stays with the branch that took it first.
      if (this.#rows.has(key)) continue;
      this.#rows.set(key, holder);
      taken.push(key);
    }
    if (taken.length === 0) return undefined;
    const byBranch = this.#held.get(holder.xid) ?? new Map<string, string[]>();
    this.#held.set(holder.xid, byBranch);
    const before = byBranch.get(holder.branchId);
    if (before === undefined) byBranch.set(holder.branchId, taken);
    else before.push(...taken);
    return undefined;
  }

  /** Another transaction that has one of the rows. */
  conflict(xid: string, resourceId: string, rows: readonly RowLock[]): LockHolder | undefined {
    return this.#conflict(
      xid,
      rows.map((row) => keyOf(resourceId, row)),
    );
  }

  /** Lets go of what a branch took, or the whole transaction. */
  release(xid: string, branchId?: string): void {
    const byBranch = this.#held.get(xid);
    if (byBranch === undefined) return;
    for (const branch of branchId === undefined ? byBranch.keys() : [branchId]) {
      for (const key of byBranch.get(branch) ?? []) this.#rows.delete(key);
      byBranch.delete(branch);
    }
    if (byBranch.size === 0) this.#held.delete(xid);
  }

  /** Each row that is held, and whose it is. */
  holders(): Iterable<LockHolder> {
    return this.#rows.values();
  }

  /** Rows that are held. */
  get size(): number {
    return this.#rows.size;
  }

  #conflict(xid: string, keys: readonly string[]): LockHolder | undefined {
    for (const key of keys) {
      const holder = this.#rows.get(key);
      if (holder !== undefined && holder.xid !== xid) return holder;
    }
    return undefined;
  }
}

/** As a row of Seata's `lock_table` is named. */
const keyOf = (resourceId: string, { table, pk }: RowLock): string => `${resourceId}^^^${table}^^^${pk}`;

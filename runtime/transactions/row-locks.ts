import { DataSourceError } from "../ports/data-source.ts";

/** Who locks rows: a transaction. */
export interface LockOwner {
  /** Whom it waits for; kept by `RowLocks`. */
  waitsFor: LockOwner | undefined;
}

interface Lock {
  owner: LockOwner;
  waiting: { readonly owner: LockOwner; readonly grant: () => void }[] | undefined;
  /** Who wants to know when its owner changes, or changes its mind. */
  watching: { readonly owner: LockOwner; readonly look: () => void }[] | undefined;
}

/**
 * Strict two-phase row locks: a row belongs to one transaction until that ends; who waits longest gets it first; who would close a circle
 * of waiting gives way (`DEADLOCK`).
 */
export class RowLocks {
  readonly #locks = new Map<string, Lock>();
  /** In the order in which they were taken. */
  readonly #held = new Map<LockOwner, string[]>();

  ownerOf(key: string): LockOwner | undefined {
    return this.#locks.get(key)?.owner;
  }

  /** How many locks it holds. */
  countOf(owner: LockOwner): number {
    return this.#held.get(owner)?.length ?? 0;
  }

  /**
   * Resolves when the row is this owner's; undefined where it is at once, as nearly always. Rejects with a `DataSourceError`: `DEADLOCK`.
   */
  acquire(owner: LockOwner, key: string): Promise<void> | undefined {
    const lock = this.#locks.get(key);
    if (lock === undefined) {
      this.#locks.set(key, { owner, waiting: undefined, watching: undefined });
      this.#hold(owner, key);
      return undefined;
    }
    if (lock.owner === owner) return undefined;
    // Who waits before it will have the row before it.
    const ahead = lock.waiting?.at(-1)?.owner ?? lock.owner;
    if (leadsTo(lock.owner, owner) || leadsTo(ahead, owner)) return Promise.reject(deadlock());
    owner.waitsFor = ahead;
    return new Promise<void>((resolve) => (lock.waiting ??= []).push({ owner, grant: resolve }));
  }

  /**
   * Resolves when whoever has the row has let go of it, or has undone something (`undone`), without taking it; at once when it is free.
   * Rejects with a `DataSourceError`: `DEADLOCK`.
   */
  async changed(owner: LockOwner, key: string): Promise<void> {
    const lock = this.#locks.get(key);
    if (lock === undefined || lock.owner === owner) return;
    if (leadsTo(lock.owner, owner)) throw deadlock();
    owner.waitsFor = lock.owner;
    await new Promise<void>((resolve) => (lock.watching ??= []).push({ owner, look: resolve }));
  }

  /** Something that this owner did is undone, though it holds its rows still. */
  undone(owner: LockOwner): void {
    for (const key of this.#held.get(owner) ?? []) wake(this.#locks.get(key)!);
  }

  /** Lets go of what it has taken, but for the first so many. */
  release(owner: LockOwner, butFirst = 0): void {
    const held = this.#held.get(owner);
    if (held === undefined) return;
    const released = butFirst === 0 ? held : held.splice(butFirst);
    if (butFirst === 0 || held.length === 0) this.#held.delete(owner);
    for (const key of released) this.#passOn(key);
  }

  releaseOne(owner: LockOwner, key: string): void {
    const held = this.#held.get(owner) ?? [];
    const index = held.lastIndexOf(key);
    if (index < 0) return;
    held.splice(index, 1);
    if (held.length === 0) this.#held.delete(owner);
    this.#passOn(key);
  }

  #passOn(key: string): void {
    const lock = this.#locks.get(key)!;
    wake(lock);
    const next = lock.waiting?.shift();
    if (next === undefined) {
      this.#locks.delete(key);
      return;
    }
    lock.owner = next.owner;
    next.owner.waitsFor = undefined;
    this.#hold(next.owner, key);
    next.grant();
  }

  #hold(owner: LockOwner, key: string): void {
    const held = this.#held.get(owner);
    if (held === undefined) this.#held.set(owner, [key]);
    else held.push(key);
  }
}

const deadlock = (): DataSourceError =>
  new DataSourceError("two transactions wait for each other", { code: "DEADLOCK" });

function wake(lock: Lock): void {
  const { watching = [] } = lock;
  lock.watching = undefined;
  for (const { owner, look } of watching) {
    owner.waitsFor = undefined;
    look();
  }
}

/** Each waits for one other at most, so there is one way to go. */
function leadsTo(from: LockOwner, to: LockOwner): boolean {
  for (let owner: LockOwner | undefined = from; owner !== undefined; owner = owner.waitsFor)
    if (owner === to) return true;
  return false;
}

import {
  isUnanswered,
  type DataSource,
  type LocalTransaction,
  type Row,
  type Table,
} from "../../runtime/ports/data-source.ts";
import { lockHolding, type Holding, type Holdings } from "./holdings.ts";

/** Whose a local transaction is. */
export interface BranchOf {
  readonly xid: string;
  readonly branchId?: string;
}

/** Hears of the writes to holdings. */
export interface Teller {
  /** A commit has left this; `atUs`: its answer was lost then, and what came of it found out only now. */
  readonly wrote: (holding: Holding, branch: BranchOf, atUs?: number) => void;
  /** The answer to the commit of this is lost (`open`); then what came of it: it was `done`, and is told at once, or `undone`. */
  readonly doubts: (holding: Holding, branch: BranchOf, state: "open" | "done" | "undone") => void;
}

/** What a local transaction leaves, from its COMMIT on. */
interface Leaving {
  readonly rows: readonly Holding[];
  readonly branch: BranchOf;
  readonly teller: Teller;
  /** When it was given up to wait for the answer. Undefined: it may come yet. */
  lostAtUs: number | undefined;
  /** Undefined: nobody knows yet. */
  isDone: boolean | undefined;
}

/**
 * Writes to a table of holdings whose commit hasn't got an answer, not yet or never: the database may have done them, or not, and only the
 * row can tell. Who sees what such a write would have left knows that it was done. Who has the row's lock and sees something else knows
 * that it wasn't: before its end nobody has the lock. Until then it is neither. So each is told before whatever is written on top of it,
 * however late its own answer comes, or is known to be lost.
 *
 * All who write to the table share one of these: whoever comes next finds out, also about what another one has written.
 */
export class Doubts {
  readonly #holdings: Holdings;
  readonly #nowUs: () => number;
  /** By item: who writes has the row's lock, so that whoever came before is settled. */
  readonly #open = new Map<string, Leaving>();

  constructor(holdings: Holdings, nowUs: () => number) {
    this.#holdings = holdings;
    this.#nowUs = nowUs;
  }

  /**
   * The same database, which tells of every holding that a commit has changed, and for which branch: the transaction also wrote a row
   * that says so, of a fence or an undo log.
   */
  telling(dataSource: DataSource, teller: Teller): DataSource {
    return {
      transaction: async (work) => {
        let leaving: Leaving | undefined;
        try {
          const result = await dataSource.transaction(async (local) => {
            // Another try begins anew.
            if (leaving !== undefined) this.#settle(leaving, false);
            leaving = undefined;
            const written = this.#writing(local);
            const done = await work(written);
            leaving = this.#leaves(written, teller);
            return done;
          });
          if (leaving !== undefined) this.#settle(leaving, true);
          return result;
        } catch (error) {
          if (leaving !== undefined && isUnanswered(error)) this.#lose(leaving);
          else if (leaving !== undefined) this.#settle(leaving, false);
          throw error;
        }
      },
      rows: (of, filter) => dataSource.rows(of, filter),
      close: () => dataSource.close(),
    };
  }

  /** Finds out about each. What the database can't tell now stays as it is. */
  async settle(dataSource: DataSource): Promise<void> {
    for (const item of [...this.#open.keys()]) {
      // Found out while it has the lock: afterwards somebody else may have written.
      const looked = dataSource.transaction((local) => lockHolding(this.#writing(local), this.#holdings.table, item));
      await looked.catch(() => undefined);
    }
  }

  #writing(local: LocalTransaction): Written {
    return new Written(local, this.#holdings, (row, isLocked) => this.#see(row, isLocked));
  }

  #leaves({ rows, branch }: Written, teller: Teller): Leaving {
    const leaving: Leaving = { rows, branch, teller, lostAtUs: undefined, isDone: undefined };
    for (const { item } of rows) this.#open.set(item, leaving);
    return leaving;
  }

  #lose(leaving: Leaving): void {
    // Somebody was there before.
    if (leaving.isDone !== undefined) return;
    leaving.lostAtUs = this.#nowUs();
    for (const holding of lastOf(leaving.rows)) leaving.teller.doubts(holding, leaving.branch, "open");
  }

  #see({ item, version }: Holding, isLocked: boolean): void {
    const leaving = this.#open.get(item);
    if (leaving === undefined) return;
    const isDone = version === leaving.rows.findLast((row) => row.item === item)!.version;
    if (isDone || isLocked) this.#settle(leaving, isDone);
  }

  /** All of it or nothing: it is one commit. */
  #settle(leaving: Leaving, isDone: boolean): void {
    if (leaving.isDone === isDone) return;
    leaving.isDone = isDone;
    const { rows, branch, teller, lostAtUs } = leaving;
    for (const { item } of rows) if (this.#open.get(item) === leaving) this.#open.delete(item);
    if (lostAtUs !== undefined) for (const row of lastOf(rows)) teller.doubts(row, branch, isDone ? "done" : "undone");
    if (isDone) for (const row of rows) teller.wrote(row, branch, lostAtUs);
  }
}

/** What is there of each item in the end. */
const lastOf = (rows: readonly Holding[]): Iterable<Holding> => new Map(rows.map((row) => [row.item, row])).values();

/** A local transaction, and what it has written so far. A class, because each try of a branch makes one. */
class Written implements LocalTransaction {
  readonly #local: LocalTransaction;
  /** Of the holdings. */
  readonly #table: string;
  readonly #see: (row: Holding, isLocked: boolean) => void;
  rows: Holding[] = [];
  branch: BranchOf = { xid: "" };

  constructor(local: LocalTransaction, { table }: Holdings, see: (row: Holding, isLocked: boolean) => void) {
    this.#local = local;
    this.#table = table.name;
    this.#see = see;
  }

  lock(of: Table, key: Row): Promise<Row | undefined> {
    const locking = this.#local.lock(of, key);
    return of.name === this.#table ? this.#saying(locking, true) : locking;
  }

  async lockEach(of: Table, part: Row): Promise<readonly Row[]> {
    const rows = await this.#local.lockEach(of, part);
    if (of.name === this.#table) for (const row of rows) this.#saw(row, true);
    return rows;
  }

  read(of: Table, key: Row): Promise<Row | undefined> {
    const reading = this.#local.read(of, key);
    return of.name === this.#table ? this.#saying(reading, false) : reading;
  }

  async insert(of: Table, row: Row): Promise<Row | undefined> {
    const added = await this.#local.insert(of, row);
    if (added !== undefined) this.#wrote(of, added);
    return added;
  }

  async update(of: Table, row: Row): Promise<Row> {
    const updated = await this.#local.update(of, row);
    this.#wrote(of, updated);
    return updated;
  }

  async remove(of: Table, key: Row): Promise<boolean> {
    const isGone = await this.#local.remove(of, key);
    if (isGone && of.name !== this.#table) this.#belongsTo(key);
    return isGone;
  }

  removeEach(of: Table, keys: readonly Row[]): Promise<void> {
    return this.#local.removeEach(of, keys);
  }

  async dependents(of: Table, keys: readonly Row[]): Promise<string | undefined> {
    return this.#local.dependents?.(of, keys);
  }

  savepoint<T>(work: () => Promise<T>): Promise<T> {
    const before = this.rows.length;
    return this.#local.savepoint(work).catch((error: unknown) => {
      this.rows.length = before;
      throw error;
    });
  }

  async #saying(looking: Promise<Row | undefined>, isLocked: boolean): Promise<Row | undefined> {
    const row = await looking;
    this.#saw(row, isLocked);
    return row;
  }

  #wrote(of: Table, row: Row): void {
    if (of.name === this.#table) this.rows.push(row as Holding);
    else this.#belongsTo(row);
  }

  /** A row of a fence, or of an undo log, says whose all of this is. */
  #belongsTo(row: Row): void {
    if ("xid" in row && "branch_id" in row) {
      this.branch = { xid: String(row["xid"]), branchId: String(row["branch_id"]) };
    }
  }

  /** What it wrote itself is in nobody's doubt. */
  #saw(row: Row | undefined, isLocked: boolean): void {
    const holding = row as Holding | undefined;
    if (holding !== undefined && !this.rows.some(({ item }) => item === holding.item)) this.#see(holding, isLocked);
  }
}

import type { LocalTransaction, Row, Table } from "../../ports/data-source.ts";
import { rowKey, type AtBranch } from "./branch.ts";

/** Statements as values, each with its images before and after: what a branch of AT does to its database. */
export class AtLocal implements LocalTransaction {
  readonly #local: LocalTransaction;
  readonly #branch: AtBranch;

  constructor(local: LocalTransaction, branch: AtBranch) {
    this.#local = local;
    this.#branch = branch;
  }

  /** `SELECT … FOR UPDATE`: the row as it is committed globally; rejects `LockWaitTimeout` when another transaction keeps it too long. */
  lock(table: Table, key: Row): Promise<Row | undefined> {
    return this.#branch.reading(this.#local, async () => {
      const result = await this.#local.lock(table, key);
      return { result, rows: result === undefined ? [] : [rowKey(table, result)] };
    });
  }

  lockEach(table: Table, part: Row): Promise<readonly Row[]> {
    return this.#branch.reading(this.#local, async () => {
      const result = await this.#local.lockEach(table, part);
      return { result, rows: result.map((row) => rowKey(table, row)) };
    });
  }

  /** A plain `SELECT`: also sees what a transaction that is under way has committed here, and may yet take back. */
  read(table: Table, key: Row): Promise<Row | undefined> {
    return this.#local.read(table, key);
  }

  async insert(table: Table, row: Row): Promise<Row | undefined> {
    const after = await this.#local.insert(table, row);
    if (after !== undefined) this.#branch.record({ sqlType: "INSERT", table, rows: [{ before: undefined, after }] });
    return after;
  }

  async update(table: Table, row: Row): Promise<Row> {
    const before = await this.#local.lock(table, row);
    const after = await this.#local.update(table, row);
    if (before !== undefined) this.#branch.record({ sqlType: "UPDATE", table, rows: [{ before, after }] });
    return after;
  }

  async remove(table: Table, key: Row): Promise<boolean> {
    const before = await this.#local.lock(table, key);
    if (before === undefined) return false;
    await this.#local.remove(table, key);
    this.#branch.record({ sqlType: "DELETE", table, rows: [{ before, after: undefined }] });
    return true;
  }

  async removeEach(table: Table, keys: readonly Row[]): Promise<void> {
    for (const key of keys) await this.remove(table, key);
  }

  savepoint<T>(work: () => Promise<T>): Promise<T> {
    return this.#branch.savepoint(this.#local, work);
  }
}

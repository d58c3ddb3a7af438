import {
  DataSourceError,
  isRefused,
  type LocalTransaction,
  type ManyRows,
  type Row,
  type Table,
} from "../../ports/data-source.ts";
import { TransactionError } from "../error.ts";
import { isSameRow, isSameValue, keyOf, textOf } from "../values.ts";
import {
  assertFence,
  assertUndone,
  fenceRow,
  itemsIn,
  undoStatus,
  undoTable,
  type ChangedRow,
  type UndoBranch,
  type UndoItem,
} from "./undo-log.ts";

/**
 * Undoes a branch within a local transaction, or sees to it that its first phase can't be committed any more. `again`: the first phase was
 * committed at this moment, and is to be undone after all. Throws a `TransactionError`: `DirtyWrite` or `DamagedUndoLog`, or a
 * `DataSourceError` `REFUSED`, and then nothing of it may be committed.
 *
 * Later branches of the same transaction in this database go first, whatever order the coordinator asks in: where they changed the same
 * row, this one would otherwise find what it didn't write (seata#5666; Seata 2.0 with its file store asks in the order of registration).
 */
export async function undoBranch(
  local: LocalTransaction,
  branch: UndoBranch,
  nowMs: number,
): Promise<"done" | "again"> {
  const rows = await local.lockEach(undoTable, { xid: branch.xid });
  const own = rows.find((row) => row["branch_id"] === branch.branchId);
  if (own === undefined) return (await local.insert(undoTable, fenceRow(branch, nowMs))) ? "done" : "again";
  if (own["log_status"] === undoStatus.fence) {
    assertFence(own);
    return "done";
  }
  if (own["log_status"] === undoStatus.normal) {
    for (const row of laterThan(own, rows)) {
      await undo(local, itemsIn(row));
      await local.update(undoTable, { ...row, log_status: undoStatus.undone });
    }
    await undo(local, itemsIn(own));
  } else {
    assertUndone(own);
  }
  await local.remove(undoTable, own);
  return "done";
}

/** Those that are still to be undone, the latest first: a coordinator's ids only grow. */
function laterThan(own: Row, rows: readonly Row[]): readonly Row[] {
  const idOf = (row: Row): bigint => BigInt(String(row["branch_id"]));
  return rows
    .filter((row) => row["log_status"] === undoStatus.normal && idOf(row) > idOf(own))
    .sort((one, other) => (idOf(one) > idOf(other) ? -1 : 1));
}

async function undo(local: LocalTransaction, items: readonly UndoItem[]): Promise<void> {
  await checkLast(local, items);
  for (const item of [...items].reverse()) await undoItem(local, item);
}

/** The last change of a row, and how many there were. */
interface Last {
  readonly item: UndoItem;
  readonly row: ChangedRow;
  readonly times: number;
}

/**
 * A row that several statements have changed is as the last of them left it: one that somebody else has put to what it was in between
 * would else be taken for undone as far as that.
 */
async function checkLast(local: LocalTransaction, items: readonly UndoItem[]): Promise<void> {
  if (items.length < 2) return;
  const tables = new Map<string, Map<string, Last>>();
  for (const item of items) {
    const { table } = item;
    const known = tables.get(table.name) ?? new Map<string, Last>();
    tables.set(table.name, known);
    for (const row of item.rows) {
      if (isSameRow(row.before, row.after)) continue;
      const key = JSON.stringify(Object.values(keyOf(table, row.after ?? row.before)).map(textOf));
      known.set(key, { row, item, times: (known.get(key)?.times ?? 0) + 1 });
    }
  }
  for (const known of tables.values()) {
    const changed = [...known.values()].filter(({ times }) => times > 1);
    if (changed.length === 0) continue;
    const { table } = changed[0]!.item;
    const current = await lockAll(
      local,
      table,
      changed.map(({ row }) => keyOf(table, row.after ?? row.before)),
    );
    const wrong = changed.find(({ row }, index) => !isSameRow(current[index], row.after));
    if (wrong !== undefined) throw dirty(wrong.item, wrong.row);
  }
}

/**
 * Data validation: a statement is undone where every row is as it left it, and has been undone where every row is as it found it.
 * Whatever else is there was written by somebody who doesn't ask for global locks; it isn't overwritten. The rows are read under their
 * locks, so that nobody comes in between (seata PR#2918).
 */
async function undoItem(local: LocalTransaction, item: UndoItem): Promise<void> {
  const rows = item.rows.filter(({ before, after }) => !isSameRow(before, after));
  const current = await lockAll(
    local,
    item.table,
    rows.map((row) => keyOf(item.table, row.after ?? row.before)),
  );
  const wrong = rows.findIndex(({ after }, index) => !isSameRow(current[index], after));
  if (wrong < 0) {
    await checkAlone(local, item, rows);
    return reverseAll(local, item, [...rows].reverse());
  }
  if (rows.every(({ before }, index) => isSameRow(current[index], before))) return;
  throw dirty(item, rows[wrong]!);
}

/** What was added goes again, but nobody else's rows with it. */
async function checkAlone(local: LocalTransaction, { table }: UndoItem, rows: readonly ChangedRow[]): Promise<void> {
  const added = rows.flatMap(({ before, after }) => (before === undefined ? [keyOf(table, after)] : []));
  if (added.length === 0) return;
  const others = await local.dependents?.(table, added);
  if (others === undefined) return;
  const text = `rows of ${others} refer to what was added to ${table.name}, and would go or change with it`;
  throw new TransactionError(text, {
    code: "UndoRefused",
    hint: "its rows stay locked until a person has put them right",
  });
}

async function lockAll(
  local: LocalTransaction,
  table: Table,
  keys: readonly Row[],
): Promise<readonly (Row | undefined)[]> {
  if (local.many !== undefined && keys.length > 1) return local.many.lock(table, keys);
  const rows: (Row | undefined)[] = [];
  for (const key of keys) rows.push(await local.lock(table, key));
  return rows;
}

async function reverseAll(local: LocalTransaction, item: UndoItem, rows: readonly ChangedRow[]): Promise<void> {
  const { many } = local;
  if (rows.length === 1) return reverse(local, item, rows[0]!);
  try {
    await local.savepoint(async () => {
      if (many !== undefined) return reverseTogether(local, many, { table: item.table, rows });
      for (const row of rows) await reverse(local, item, row);
    });
  } catch (error) {
    if (error !== keyTaken && !isRefused(error)) throw error;
    await reverseAsAllowed(local, item, rows);
  }
}

/** One by one it shows whose. */
const keyTaken = new Error("a key is taken");

/** With a statement for those that go, one for those that come back, and one for each set of columns that were changed. */
async function reverseTogether(
  local: LocalTransaction,
  many: ManyRows,
  { table, rows }: Pick<UndoItem, "table" | "rows">,
): Promise<void> {
  const added = rows.flatMap(({ before, after }) => (before === undefined && after !== undefined ? [after] : []));
  const removed = rows.flatMap(({ before, after }) => (after === undefined && before !== undefined ? [before] : []));
  const changed = new Map<string, Row[]>();
  for (const { before, after } of rows) {
    if (before === undefined || after === undefined) continue;
    const row = changedColumns(table, before, after);
    const columns = Object.keys(row).sort().join();
    const same = changed.get(columns);
    if (same === undefined) changed.set(columns, [row]);
    else same.push(row);
  }
  await local.removeEach(table, added);
  for (const same of changed.values()) await many.update(table, same);
  if (removed.length > 0 && !(await many.insert(table, removed))) throw keyTaken;
}

/** Rows that refer to one another go back in the order that their constraints allow, whichever that is. */
async function reverseAsAllowed(local: LocalTransaction, item: UndoItem, rows: readonly ChangedRow[]): Promise<void> {
  for (let left = rows; left.length > 0;) {
    const refused: ChangedRow[] = [];
    let why: unknown;
    for (const row of left) {
      try {
        await local.savepoint(() => reverse(local, item, row));
      } catch (error) {
        if (!isRefused(error)) throw error;
        why = error;
        refused.push(row);
      }
    }
    if (refused.length === left.length) throw why;
    left = refused;
  }
}

async function reverse(local: LocalTransaction, item: UndoItem, row: ChangedRow): Promise<void> {
  const { table } = item;
  if (row.before === undefined) {
    if (await local.remove(table, row.after)) return;
    throw new DataSourceError(`${table.name} keeps a row that is to go`, { code: "REFUSED" });
  }
  if (row.after !== undefined) await local.update(table, changedColumns(table, row.before, row.after));
  // Somebody is adding it at this moment.
  else if (!(await local.insert(table, row.before))) throw dirty(item, row, "can't come back: its key is taken");
}

/** Only what was changed: there are columns that can't be set. */
function changedColumns(table: Table, before: Row, after: Row): Row {
  const changed = Object.entries(before).filter(([column, value]) => !isSameValue(value, after[column] ?? null));
  return { ...Object.fromEntries(changed), ...keyOf(table, before) };
}

function dirty(
  { table }: UndoItem,
  { before, after }: ChangedRow,
  what = "was changed by somebody who took no global lock",
): TransactionError {
  const key = Object.values(keyOf(table, after ?? before)).map(textOf);
  return new TransactionError(`${table.name} ${key.join(", ")} ${what}`, {
    code: "DirtyWrite",
    hint: "its rows stay locked until a person has put them right",
  });
}

import { TransactionError } from "./error.ts";

/** Rows of a table that a branch wants for itself, each named by the text of its primary key. */
export interface RowLock {
  readonly table: string;
  readonly pk: string;
}

/**
 * "account:1,2;stock:7" as rows, in its order and without repetitions. As Seata's server does, whatever comes without a colon locks
 * nothing; an empty key is no row.
 */
export function parseLockKey(lockKey: string): readonly RowLock[] {
  const rows = new Map<string, RowLock>();
  for (const part of lockKey.split(";")) {
    const colon = part.indexOf(":");
    if (colon < 0) continue;
    const table = part.slice(0, colon);
    for (const pk of part.slice(colon + 1).split(",")) {
      if (pk !== "") rows.set(`${table}\n${pk}`, { table, pk });
    }
  }
  return [...rows.values()];
}

/** The lock key of rows. Separators within a key's own text would name other rows: they are escaped, `_` between columns is not. */
export function formatLockKey(rows: readonly RowLock[]): string {
  const byTable = new Map<string, Set<string>>();
  for (const { table, pk } of rows) {
    if (table === "" || /[:;,]/.test(table)) {
      throw new TransactionError(`"${table}" is no table's name for a lock`, { code: "InvalidArgument" });
    }
    if (pk === "") throw new TransactionError(`a row of ${table} without a primary key`, { code: "InvalidArgument" });
    const keys = byTable.get(table) ?? new Set();
    byTable.set(table, keys.add(escaped(pk)));
  }
  return [...byTable].map(([table, keys]) => `${table}:${[...keys].join(",")}`).join(";");
}

const escaped = (pk: string): string =>
  pk.replace(/[%:;,]/g, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`);

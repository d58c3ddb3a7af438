import { TransactionError } from "./error.ts";

/** A row of a table that a branch wants for itself, named by the text of its primary key as it is in a lock key. */
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

/** The text of each column of a row's primary key, in the key's order. */
export interface RowKey {
  readonly table: string;
  readonly pk: readonly string[];
}

/**
 * The lock key of rows, each once. Separators within a column's text would name other rows: they are escaped, and where there are several
 * columns, so is the `_` that goes between them.
 */
export function formatLockKey(rows: readonly RowKey[]): string {
  const byTable = new Map<string, Set<string>>();
  for (const { table, pk } of rows) {
    if (table === "" || separatorOfTables.test(table)) {
      throw new TransactionError(`"${table}" is no table's name for a lock`, { code: "InvalidArgument" });
    }
    if (pk.length === 0)
      throw new TransactionError(`a row of ${table} without a primary key`, { code: "InvalidArgument" });
    const key = pk.length === 1 ? escaped(pk[0]!, false) : pk.map((text) => escaped(text, true)).join("_");
    const keys = byTable.get(table);
    if (keys === undefined) byTable.set(table, new Set([key]));
    else keys.add(key);
  }
  let text = "";
  for (const [table, keys] of byTable) text += `${text === "" ? "" : ";"}${table}:${[...keys].join(",")}`;
  return text;
}

const plainKey = /^[0-9A-Za-z-]+$/;
const separatorOfTables = /[:;,]/;
const separators = /[%:;,]/g;
const separatorsAndJoint = /[%:;,_]/g;
const escapes: Readonly<Record<string, string>> = { "%": "%25", ":": "%3A", ";": "%3B", ",": "%2C", _: "%5F" };

/** No text at all would be no row: it is written as no character is. */
function escaped(text: string, isOneOfSeveral: boolean): string {
  if (text === "") return "%";
  // Nearly every key is a number, or a name.
  if (plainKey.test(text)) return text;
  return text.replace(isOneOfSeveral ? separatorsAndJoint : separators, (found) => escapes[found]!);
}

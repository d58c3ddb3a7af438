import { fromBase64, toBase64 } from "../../codec/base64.ts";
import { murmur3OfBytes } from "../../numbers.ts";
import type { ColumnType, Row, Table, Value } from "../../ports/data-source.ts";
import { isRecord } from "../../whole-file.ts";
import { retentionMs, type Remains } from "../cleaner.ts";
import { TransactionError } from "../error.ts";

const encoder = new TextEncoder();

/** Seata's `undo_log`: a row for each branch whose first phase was committed, in the same local transaction as what it changed. */
export const undoTable: Table = {
  name: "undo_log",
  columns: {
    ...{ branch_id: { sql: "BIGINT" }, xid: { sql: "VARCHAR(128)" }, context: { sql: "VARCHAR(128)" } },
    ...{ rollback_info: "bytes", log_status: { sql: "INTEGER" } },
    ...{ log_created: { sql: "TIMESTAMP(0)" }, log_modified: { sql: "TIMESTAMP(0)" } },
  },
  key: ["xid", "branch_id"],
};

/**
 * `normal`: to be undone, or to be removed after a commit. `fence`: its rollback was here before its first phase, which can't be committed
 * any more. `undone`, our own: it was undone together with an earlier branch of its transaction, and waits to be asked for.
 */
export const undoStatus = { normal: "0", fence: "1", undone: "2" } as const;

/** What a statement did to rows of one table. */
export interface UndoItem {
  readonly sqlType: "INSERT" | "UPDATE" | "DELETE";
  readonly table: Table;
  readonly rows: readonly ChangedRow[];
}

/** A row as it was and as it is; undefined: it wasn't there, or isn't. */
export type ChangedRow =
  | { readonly before: Row; readonly after: Row }
  | { readonly before: Row; readonly after: undefined }
  | { readonly before: undefined; readonly after: Row };

export interface UndoBranch {
  readonly xid: string;
  readonly branchId: string;
}

/** The row that undoes a branch, in Seata's JSON. Its checksum is ours: what was cut off or tampered with isn't undone. */
export function undoRow({ xid, branchId }: UndoBranch, items: readonly UndoItem[], nowMs: number): Row {
  const logs = items.map(({ sqlType, table, rows }) => {
    const [before, after] = [imageOf(table, images(rows, "before")), imageOf(table, images(rows, "after"))];
    return `{"sqlType":"${sqlType}","tableName":${JSON.stringify(table.name)},"beforeImage":${before},"afterImage":${after}}`;
  });
  const ids = `"xid":${JSON.stringify(xid)},"branchId":${JSON.stringify(branchId)}`;
  const body = `{${ids},"sqlUndoLogs":[${logs.join(",")}]}`;
  const bytes = encoder.encode(body);
  const context = `serializer=jackson&compressorType=NONE&checksum=${checksumOf(bytes)}`;
  return rowOf({ xid, branchId }, { context, bytes, status: undoStatus.normal, nowMs });
}

const fenceBody = "{}";

/** The row that keeps a first phase from being committed after its rollback. */
export function fenceRow(branch: UndoBranch, nowMs: number): Row {
  return rowOf(branch, {
    context: "serializer=jackson&compressorType=NONE",
    bytes: encoder.encode(fenceBody),
    status: undoStatus.fence,
    nowMs,
  });
}

/**
 * Fences whose first phase never came. Seata's coordinator has whatever is older than seven days removed, undo logs that are still needed
 * among them; here those stay.
 */
export const oldUndoFences: Remains = {
  table: undoTable,
  retentionMs: retentionMs.undo,
  finished: (beforeMs) => ({
    among: { log_status: [undoStatus.fence] },
    atMost: { log_created: timestampOf(beforeMs) },
  }),
};

/** Throws a `TransactionError` `DamagedUndoLog` where a row that says to be a fence has something to undo. */
export function assertFence(row: Row): void {
  if (bodyOf(row) !== fenceBody) throw damaged(row, "says that there is nothing to undo, and has something");
}

/** The same where a row is neither to be undone nor says that it was. */
export function assertUndone(row: Row): void {
  if (row["log_status"] !== undoStatus.undone) throw damaged(row, `has a status ${String(row["log_status"])}`);
}

const bytesOf = ({ rollback_info: bytes }: Row): Uint8Array => (bytes instanceof Uint8Array ? bytes : new Uint8Array());

const bodyOf = (row: Row): string => new TextDecoder().decode(bytesOf(row));

const damaged = (row: Row, how: string): TransactionError =>
  new TransactionError(`the undo log of branch ${String(row["branch_id"])} of ${String(row["xid"])} ${how}`, {
    code: "DamagedUndoLog",
    hint: "its rows stay locked until a person has put them right",
  });

/** What a branch did, in its order. Throws a `TransactionError`: `DamagedUndoLog`. */
export function itemsIn(row: Row): readonly UndoItem[] {
  const [xid, branchId] = [String(row["xid"]), String(row["branch_id"])];
  const context = new Map(
    String(row["context"])
      .split("&")
      .map((part) => part.split("=", 2) as [string, string]),
  );
  if (context.get("serializer") !== "jackson" || context.get("compressorType") !== "NONE") {
    throw damaged(row, `is written as "${String(row["context"])}", which can't be read here`);
  }
  if (checksumOf(bytesOf(row)) !== context.get("checksum")) throw damaged(row, "isn't what was written");
  const log = logIn(bodyOf(row));
  if (log === undefined) throw damaged(row, "says nothing that could be undone");
  if (log.xid !== xid || log.branchId !== branchId) throw damaged(row, "is another branch's");
  return log.items;
}

function logIn(body: string): (UndoBranch & { readonly items: readonly UndoItem[] }) | undefined {
  try {
    const { xid, branchId, sqlUndoLogs } = JSON.parse(body) as Readonly<Record<string, unknown>>;
    const items = Array.isArray(sqlUndoLogs) ? sqlUndoLogs.map(itemOf) : [undefined];
    if (typeof xid !== "string" || typeof branchId !== "string" || items.includes(undefined)) return undefined;
    return { xid, branchId, items: items as readonly UndoItem[] };
  } catch {
    return undefined;
  }
}

function rowOf(
  { xid, branchId }: UndoBranch,
  written: { readonly context: string; readonly bytes: Uint8Array; readonly status: string; readonly nowMs: number },
): Row {
  const { context, bytes, status, nowMs } = written;
  const now = timestampOf(nowMs);
  return {
    ...{ branch_id: branchId, xid, context, rollback_info: bytes, log_status: status },
    ...{ log_created: now, log_modified: now },
  };
}

interface Field {
  readonly name: string;
  readonly keyType: "PRIMARY_KEY" | "NULL";
  /** `java.sql.Types`. */
  readonly type: number;
  readonly value: string | number | null;
}

interface Image {
  readonly tableName: string;
  readonly rows: readonly { readonly fields: readonly Field[] }[];
}

const images = (rows: readonly ChangedRow[], which: "before" | "after"): readonly Row[] =>
  rows.map((row) => row[which]).filter((image) => image !== undefined);

/** An `Image` as JSON. The columns of the key come first, in its order: so it can be told from the image alone. */
function imageOf(table: Table, rows: readonly Row[]): string {
  const columns = columnsOf(table);
  const written = rows.map((row) => {
    const fields = columns.map(({ name, head }) => {
      const value = row[name] ?? null;
      return `${head}${JSON.stringify(value instanceof Uint8Array ? toBase64(value) : value)}}`;
    });
    return `{"fields":[${fields.join(",")}]}`;
  });
  return `{"tableName":${JSON.stringify(table.name)},"rows":[${written.join(",")}]}`;
}

/** What is the same of a column in every image: each `Field` as far as its value. */
const heads = new WeakMap<Table, readonly { readonly name: string; readonly head: string }[]>();

function columnsOf(table: Table): readonly { readonly name: string; readonly head: string }[] {
  let columns = heads.get(table);
  if (columns === undefined) {
    const names = [...table.key, ...Object.keys(table.columns).filter((name) => !table.key.includes(name))];
    columns = names.map((name) => {
      const keyType = table.key.includes(name) ? "PRIMARY_KEY" : "NULL";
      const type = jdbcTypeOf(table.columns[name]!);
      return { name, head: `${JSON.stringify({ name, keyType, type }).slice(0, -1)},"value":` };
    });
    heads.set(table, columns);
  }
  return columns;
}

function itemOf(log: unknown): UndoItem | undefined {
  if (!isRecord(log) || !isImage(log["beforeImage"]) || !isImage(log["afterImage"])) return undefined;
  const { sqlType, tableName } = log;
  if (sqlType !== "INSERT" && sqlType !== "UPDATE" && sqlType !== "DELETE") return undefined;
  const images = { before: log["beforeImage"].rows, after: log["afterImage"].rows };
  const fields = (images.before[0] ?? images.after[0])?.fields;
  if (fields === undefined || typeof tableName !== "string") return undefined;
  const table: Table = {
    name: tableName,
    columns: Object.fromEntries(fields.map(({ name, type }) => [name, columnTypeOf(type)])),
    key: fields.filter(({ keyType }) => keyType === "PRIMARY_KEY").map(({ name }) => name),
  };
  const [before, after] = [images.before, images.after].map((rows) => rows.map((row) => valuesIn(row.fields)));
  const rows = Array.from({ length: Math.max(before!.length, after!.length) }, (_, index) => {
    return { before: before![index], after: after![index] } as ChangedRow;
  });
  return { sqlType, table, rows };
}

function valuesIn(fields: readonly Field[]): Row {
  return Object.fromEntries(
    fields.map(({ name, type, value }): [string, Value] => {
      return [name, columnTypeOf(type) === "bytes" && typeof value === "string" ? fromBase64(value) : value];
    }),
  );
}

function isImage(image: unknown): image is Image {
  return (
    isRecord(image) &&
    Array.isArray(image["rows"]) &&
    image["rows"].every((row) => isRecord(row) && Array.isArray(row["fields"]) && row["fields"].every(isField))
  );
}

function isField(field: unknown): field is Field {
  if (!isRecord(field)) return false;
  const { name, type, value } = field;
  const isValue = value === null || typeof value === "string" || typeof value === "number";
  return typeof name === "string" && typeof type === "number" && isValue;
}

/** VARCHAR, BIGINT and BINARY; what else there is comes as the database's text (OTHER). */
const jdbcTypes = { text: 12, integer: -5, bytes: -2 };
const other = 1111;

const jdbcTypeOf = (type: ColumnType): number => (typeof type === "string" ? jdbcTypes[type] : other);

function columnTypeOf(type: number): ColumnType {
  const known = (["text", "integer", "bytes"] as const).find((name) => jdbcTypes[name] === type);
  return known ?? { sql: "unknown" };
}

function checksumOf({ buffer, byteOffset, length }: Uint8Array): string {
  return murmur3OfBytes(new DataView(buffer, byteOffset, length), 0, length)
    .toString(16)
    .padStart(8, "0");
}

/** "2026-11-28 14:45:00", in UTC: days since 1970 as a date (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
function timestampOf(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const days = Math.floor(seconds / 86_400) + 719_468;
  const era = Math.floor(days / 146_097);
  const ofEra = days - era * 146_097;
  const year = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  );
  const ofYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100));
  const shifted = Math.floor((5 * ofYear + 2) / 153);
  const day = ofYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const two = (number: number): string => String(number).padStart(2, "0");
  const time = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(":");
  return `${year + era * 400 + (month <= 2 ? 1 : 0)}-${two(month)}-${two(day)} ${time}`;
}

import { toBase64 } from "../codec/base64.ts";
import type { Row, RowFilter, Table, Value } from "../ports/data-source.ts";

/** Whether two values are the same, bytes by what is in them. */
export function isSameValue(one: Value, other: Value): boolean {
  if (!(one instanceof Uint8Array && other instanceof Uint8Array)) return one === other;
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** Whether two rows have the same values; undefined is no row. */
export function isSameRow(one: Row | undefined, other: Row | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  const columns = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...columns].every((column) => isSameValue(one[column] ?? null, other[column] ?? null));
}

/** Whether a filter means this row. */
export function isMeant(row: Row, { among = {}, atMost = {} }: RowFilter): boolean {
  const isOneOf = (column: string, values: readonly Value[]): boolean =>
    values.some((value) => isSameValue(row[column] ?? null, value));
  const isAtMost = (column: string, bound: Value): boolean => {
    const value = row[column] ?? null;
    return value !== null && bound !== null && value <= bound;
  };
  return (
    Object.entries(among).every(([column, values]) => isOneOf(column, values)) &&
    Object.entries(atMost).every(([column, bound]) => isAtMost(column, bound))
  );
}

/** Each of the table's columns, and no other; those that aren't given are as `before`, or null. */
export function wholeRow(table: Table, row: Row, before: Row = row): Row {
  const whole: Record<string, Value> = {};
  for (const column in table.columns) {
    whole[column] = (Object.hasOwn(row, column) ? row : before)[column] ?? null;
  }
  return whole;
}

/** The columns of the table's key. */
export function keyOf(table: Table, row: Row): Row {
  const key: Record<string, Value> = {};
  for (const column of table.key) key[column] = row[column] ?? null;
  return key;
}

/** A value's text, by what is in it: a blob is never the name of an object. */
export function textOf(value: Value): string {
  return value instanceof Uint8Array ? toBase64(value) : String(value);
}

import { fromBase64 } from "../../runtime/codec/base64.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { DataSource, LocalTransaction, Row, Table } from "../../runtime/ports/data-source.ts";
import type { TccAction } from "../../runtime/transactions/tcc/tcc.ts";

/** What a branch sets aside. */
export interface Reservation {
  readonly item: string;
  readonly amount: number;
}

/** Which may come twice. */
export interface ReservationRequest extends Reservation {
  /** Its name within its transaction. Default: each is another one. */
  readonly key?: string | undefined;
}

/** Money in accounts, goods in stock: what is free, set aside for a transaction, and used up. Their sum never changes. */
export interface Holding extends Row {
  readonly item: string;
  readonly free: number;
  readonly frozen: number;
  readonly used: number;
  /** Names the write that left it so: no other write at this node has the same. */
  readonly version: number;
}

/**
 * What the primary key of a holding's row is. `name` (default): its item. `blob`: bytes. `edition`: its item and a number that every write
 * makes one more, so that each write removes a row and adds another.
 */
export const rowKeys = ["name", "blob", "edition"] as const;

export type RowKeys = (typeof rowKeys)[number];

const columns = { item: "text", free: "integer", frozen: "integer", used: "integer", version: "integer" } as const;

export function holdingsOf(service: string, keys: RowKeys = "name"): Table {
  const name = `${service}_holdings`;
  if (keys === "blob") return { name, columns: { ...columns, id: "bytes" }, key: ["id"] };
  if (keys === "edition") return { name, columns: { ...columns, edition: "integer" }, key: ["item", "edition"] };
  return { name, columns, key: ["item"] };
}

const isBlob = ({ key }: Table): boolean => key.includes("id");
const hasEditions = ({ key }: Table): boolean => key.includes("edition");

/** Any bytes will do that no other item has. */
const idOf = (item: string): Uint8Array => new TextEncoder().encode(`${item}\0;`);

/** Whose row a lock's key names. */
export function itemIn(pk: string, keys: RowKeys = "name"): string {
  if (keys === "blob") return new TextDecoder().decode(fromBase64(pk)).slice(0, -2);
  return keys === "edition" ? pk.slice(0, pk.lastIndexOf("_")) : pk;
}

/** Holdings that are made together: each transaction is a write to the disk. */
const seededAtOnce = 1_000;

/** Makes `items` holdings, "u0", "u1", …, of so much each, where they aren't there yet. */
export async function seedHoldings(
  dataSource: DataSource,
  table: Table,
  { items, initial }: { readonly items: number; readonly initial: number },
): Promise<void> {
  const present = new Set((await dataSource.rows(table)).map(({ item }) => item));
  const missing = Array.from({ length: items }, (_, index) => `u${index}`).filter((item) => !present.has(item));
  for (let from = 0; from < missing.length; from += seededAtOnce) {
    await dataSource.transaction(async (local) => {
      for (const item of missing.slice(from, from + seededAtOnce)) {
        const key = { ...(isBlob(table) && { id: idOf(item) }), ...(hasEditions(table) && { edition: 0 }) };
        await local.insert(table, { item, ...key, free: initial, frozen: 0, used: 0, version: 0 });
      }
    });
  }
}

/** Versions for a node's writes: the moments of the clock, or the next number where one was given out already. */
export function versionsOf(clock: Clock): () => number {
  let last = 0;
  return () => (last = Math.max(last + 1, clock.nowUs()));
}

/** A table of holdings, and versions for what is written there. */
export interface Holdings {
  readonly table: Table;
  readonly version: () => number;
}

/** The TCC of a holding: try freezes, confirm uses up, cancel gives back. */
export const reserving = (name: string, holdings: Holdings): TccAction<Reservation> => ({
  name,
  try: (local, reservation) => freeze(local, holdings, reservation),
  confirm: (local, reservation) => useFrozen(local, holdings, reservation),
  cancel: (local, reservation) => giveBackFrozen(local, holdings, reservation),
});

export const freeze = (local: LocalTransaction, holdings: Holdings, reservation: Reservation): Promise<void> =>
  change(local, holdings, reservation, (holding) => {
    const free = lessBy(holding, reservation);
    return { ...holding, free, frozen: holding.frozen + reservation.amount };
  });

export const useFrozen = (local: LocalTransaction, holdings: Holdings, reservation: Reservation): Promise<void> =>
  change(local, holdings, reservation, (holding) => ({
    ...holding,
    frozen: holding.frozen - reservation.amount,
    used: holding.used + reservation.amount,
  }));

export const giveBackFrozen = (local: LocalTransaction, holdings: Holdings, reservation: Reservation): Promise<void> =>
  change(local, holdings, reservation, (holding) => ({
    ...holding,
    frozen: holding.frozen - reservation.amount,
    free: holding.free + reservation.amount,
  }));

/** A saga's action: the amount is used up at once, for everybody to see. */
export const take = (local: LocalTransaction, holdings: Holdings, reservation: Reservation): Promise<void> =>
  change(local, holdings, reservation, (holding) => {
    const free = lessBy(holding, reservation);
    return { ...holding, free, used: holding.used + reservation.amount };
  });

/** Its compensation. */
export const giveBack = (local: LocalTransaction, holdings: Holdings, reservation: Reservation): Promise<void> =>
  change(local, holdings, reservation, (holding) => ({
    ...holding,
    free: holding.free + reservation.amount,
    used: holding.used - reservation.amount,
  }));

async function change(
  local: LocalTransaction,
  { table, version }: Holdings,
  { item }: Reservation,
  changed: (holding: Holding) => Holding,
): Promise<void> {
  await writeHolding(local, table, { ...changed(await lockHolding(local, table, item)), version: version() });
}

/** Of one that was locked. */
export async function writeHolding(local: LocalTransaction, table: Table, holding: Holding): Promise<void> {
  if (hasEditions(table)) {
    await local.remove(table, holding);
    await local.insert(table, { ...holding, edition: Number(holding["edition"]) + 1 });
  } else await local.update(table, holding);
}

/** Who waits for a row finds that it is gone, and another in its place: that one may be gone by then, too. */
const looksMax = 20;

/** Rejects with an `RpcError` NOT_FOUND when there is none. */
export async function lockHolding(local: LocalTransaction, table: Table, item: string): Promise<Holding> {
  if (!hasEditions(table)) return thereIs(await local.lock(table, keyFor(table, item)), table, item);
  let found: Row | undefined;
  for (let looks = 0; found === undefined && looks < looksMax; looks++) {
    [found] = await local.lockEach(table, { item });
  }
  return thereIs(found, table, item);
}

/** As it is committed here, without a lock. Rejects likewise. */
export async function readHolding(
  { dataSource, local }: { readonly dataSource: DataSource; readonly local: LocalTransaction },
  table: Table,
  item: string,
): Promise<Holding> {
  const read = async (): Promise<Row | undefined> =>
    hasEditions(table)
      ? (await dataSource.rows(table, { among: { item: [item] } }))[0]
      : local.read(table, keyFor(table, item));
  return thereIs(await read(), table, item);
}

const keyFor = (table: Table, item: string): Row => (isBlob(table) ? { id: idOf(item) } : { item });

function thereIs(row: Row | undefined, table: Table, item: string): Holding {
  if (row === undefined) throw new RpcError(`there is no ${item} in ${table.name}`, { code: "NOT_FOUND" });
  return row as Holding;
}

/** What is free less this; rejects with an `RpcError` when it is too little. */
export function lessBy({ free }: Holding, { item, amount }: Reservation): number {
  if (free >= amount) return free - amount;
  throw new RpcError(`${item} has ${free}, and ${amount} is wanted`, { code: "FAILED_PRECONDITION" });
}

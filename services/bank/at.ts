import { RpcError } from "../../runtime/call/status.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { DataSource, LocalTransaction, Table } from "../../runtime/ports/data-source.ts";
import type { Leftover } from "../../runtime/telemetry/events.ts";
import { AtResource, type AtOptions } from "../../runtime/transactions/at/at.ts";
import { AtLocal } from "../../runtime/transactions/at/statements.ts";
import { undoStatus, undoTable } from "../../runtime/transactions/at/undo-log.ts";
import { alteredLocal } from "../../runtime/transactions/altered-local.ts";
import { retentionMs, type Remains } from "../../runtime/transactions/cleaner.ts";
import {
  lessBy,
  lockHolding,
  readHolding,
  writeHolding,
  type Holding,
  type Holdings,
  type ReservationRequest,
} from "./holdings.ts";

/** Requests that were done, by transaction. */
export const requestTable: Table = {
  name: "bank_requests",
  columns: { xid: "text", request: "text", gmt_create: "integer" },
  key: ["xid", "request"],
};

/** A transaction that is over takes no branch any more: what comes once more then is refused without them. */
export const oldRequests: Remains = {
  table: requestTable,
  retentionMs: retentionMs.fence,
  finished: (beforeMs) => ({ atMost: { gmt_create: beforeMs } }),
  needsEnd: true,
};

/** How a branch counts that reads what there is, works, and writes what it makes of it. */
export interface Counting {
  /**
   * It reads by `SELECT … FOR UPDATE`, in the local transaction that writes. Otherwise plainly, before that: what others write meanwhile is
   * lost.
   */
  readonly isLocking: boolean;
  readonly work: () => Promise<void>;
  /** Hears what it has counted on. */
  readonly saw: (holding: Holding) => void;
}

/** A reservation by AT: what it takes is used up at once, and comes back with a rollback. */
export class AtReservations {
  readonly #resource: AtResource;
  readonly #holdings: Holdings;
  readonly #clock: Clock;
  readonly #dataSource: DataSource;

  constructor(options: AtOptions<LocalTransaction> & { readonly holdings: Holdings }) {
    this.#clock = options.clock;
    this.#resource = new AtResource(options);
    this.#holdings = options.holdings;
    this.#dataSource = options.dataSource;
  }

  register(): Promise<void> {
    return this.#resource.register();
  }

  /** Answers the branch's id. Rejects with an `RpcError` when there is too little, and as `AtResource.transaction` does. */
  async reserve(xid: string, { item, amount, key }: ReservationRequest, counting?: Counting): Promise<string> {
    const { table, version } = this.#holdings;
    const isPlain = counting?.isLocking === false;
    const seenBefore = isPlain ? await this.look(xid, { item, isLocking: false }) : undefined;
    if (seenBefore !== undefined) {
      counting!.saw(seenBefore);
      await counting!.work();
    }
    let seenInside: Holding | undefined;
    const count = async (local: LocalTransaction): Promise<Holding> => {
      seenInside = await lockHolding(local, table, item);
      await counting!.work();
      return seenInside;
    };
    const branch = await this.#resource.run({ xid }, async (bare, own) => {
      const local = new AtLocal(bare, own!);
      // What the network doubles is one reservation. The row is the branch's, and goes with its rollback.
      const request = { xid, request: key ?? "", gmt_create: this.#clock.wallMs() };
      if (key !== undefined && !(await local.insert(requestTable, request))) {
        throw new RpcError(`${item}: this was reserved already`, { code: "ALREADY_EXISTS" });
      }
      const counted = seenBefore ?? (counting === undefined ? undefined : await count(local));
      if (counted !== undefined) {
        const free = lessBy(counted, { item, amount });
        await writeHolding(local, table, { ...counted, free, used: counted.used + amount, version: version() });
        return own;
      }
      // As an UPDATE reads it: under the row's own lock. Whether another transaction has it globally, the registration of the branch finds out,
      // and then all of this is done again. But too little is only what stands.
      const seen = await lockHolding(bare, table, item);
      const holding = seen.free >= amount ? seen : await lockHolding(local, table, item);
      const free = lessBy(holding, { item, amount });
      await writeHolding(local, table, { ...holding, free, used: holding.used + amount, version: version() });
      return own;
    });
    if (seenInside !== undefined) counting!.saw(seenInside);
    return branch!.branchId!;
  }

  /**
   * What there is: as it may yet be taken back, or, with the lock, as it is committed globally. Rejects as `AtResource.transaction` does.
   */
  look(xid: string, { item, isLocking }: { readonly item: string; readonly isLocking: boolean }): Promise<Holding> {
    const { table } = this.#holdings;
    return this.#resource.transaction({ xid }, async (local) => {
      if (isLocking) return lockHolding(local, table, item);
      return readHolding({ dataSource: this.#dataSource, local }, table, item);
    });
  }

  close(): Promise<void> {
    return this.#resource.close();
  }
}

/**
 * The same database, in which it takes time to write what undoes a branch. By then it is registered, and the transaction holds its rows.
 */
export function lateCommits(dataSource: DataSource, work: () => Promise<void>): DataSource {
  return {
    transaction: (transact) =>
      dataSource.transaction((local) =>
        transact(
          alteredLocal(local, {
            insert: async (table, row) => {
              if (table === undoTable && row["log_status"] === undoStatus.normal) await work();
              return local.insert(table, row);
            },
          }),
        ),
      ),
    rows: (table, filter) => dataSource.rows(table, filter),
    close: () => dataSource.close(),
  };
}

/** Undo logs that are still to be removed or used. */
export async function undoLeft(dataSource: DataSource): Promise<readonly Leftover[]> {
  return (await dataSource.rows(undoTable))
    .filter((row) => row["log_status"] !== undoStatus.fence)
    .map((row) => ({ kind: "undo", xid: String(row["xid"]), branchId: String(row["branch_id"]) }));
}

/**
 * A database as a resource: the same for everybody who uses it, and without what only concerns its user. Without a URL it is the node's
 * own.
 */
export function resourceOf(node: string, database: string | undefined): string {
  if (database === undefined) return `rows://${node}`;
  return database.replace(/\/\/[^/@]*@/, "//").replace(/\?.*$/, "");
}
